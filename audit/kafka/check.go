package kafka

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// check asks a cluster whether it can keep what a destination promises, before a
// client writes to it.
func (d *Destination) check(ctx context.Context) error {
	// The producer id is that by which brokers tell a retry from a new record.
	id, _, err := d.client.ProducerID(ctx)
	switch {
	case err != nil:
		return err
	case id < 0:
		return errors.New("the brokers know no idempotent producers: Kafka 0.11 or later is needed")
	case d.compacted(ctx):
		return errors.New("cleanup.policy has compact, which keeps the last record of each origin only: set it to delete")
	}
	return nil
}

// compacted asks for the topic's cleanup.policy. Whoever has not the right to
// DescribeConfigs is not told; doc.go says what that leaves open.
func (d *Destination) compacted(ctx context.Context) bool {
	const policy = "cleanup.policy"
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, d.config.Topic
	resource.ConfigNames = []string{policy}
	request := kmsg.NewPtrDescribeConfigsRequest()
	request.Resources = append(request.Resources, resource)
	response, err := request.RequestWith(ctx, d.client)
	if err != nil {
		return false
	}
	for i := range response.Resources {
		for _, c := range response.Resources[i].Configs {
			if c.Name == policy && c.Value != nil && strings.Contains(*c.Value, "compact") {
				return true
			}
		}
	}
	return false
}
