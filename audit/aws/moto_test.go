package aws

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// motoPatience bounds the wait for a server written in Python on a busy machine.
const motoPatience = 2 * time.Minute

// moto starts a server that others wrote, and returns the configuration of a client
// of it and its address.
func moto(t *testing.T) (config awssdk.Config, base string) {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("reason: moto_server is not installed: pip install 'moto[server]'")
	}
	port := oracle.Port(t)

	var log strings.Builder
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = time.Minute
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})

	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	base = "http://127.0.0.1:" + port
	ctx, cancel := context.WithTimeout(t.Context(), motoPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/moto-api/data.json", http.NoBody)
		must(t, err)
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("moto_server does not answer: %s", log.String())
		}
	}
	return awssdk.Config{
		Region: "eu-central-1", BaseEndpoint: &base, HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "an example", ""),
	}, base
}

func TestTheSameAgainstMoto(t *testing.T) {
	t.Parallel()
	config, base := moto(t)
	for name, build := range map[string]func(t *testing.T) *rig{
		"Kinesis":  func(t *testing.T) *rig { t.Helper(); return motoKinesis(t, config) },
		"Firehose": func(t *testing.T) *rig { t.Helper(); return motoFirehose(t, config, base) },
		"Logs":     func(t *testing.T) *rig { t.Helper(); return motoLogs(t, config) },
	} {
		t.Run(name, func(t *testing.T) { // not parallel: moto ends with the test
			r := build(t)
			records := calls(1234)
			r.deliver(t, records[:1])
			r.deliver(t, records[1:])
			once(t, r, records, name != "Firehose") // whose objects have no order
		})
	}
	t.Run("what is not there", func(t *testing.T) {
		k, err := NewKinesis(config, KinesisConfig{Stream: "absent"})
		must(t, err)
		f, err := NewFirehose(config, FirehoseConfig{Stream: "absent"})
		must(t, err)
		l, err := NewLogs(config, LogsConfig{Group: "absent", Stream: "absent"})
		must(t, err)
		for _, d := range []*sender{&k.sender, &f.sender, &l.sender} {
			_, err := d.Deliver(t.Context(), calls(2))
			if err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException (create it") {
				t.Errorf("%v: %v", d, err)
			}
		}
	})
}

func motoKinesis(t *testing.T, config awssdk.Config) *rig {
	t.Helper()
	admin := kinesis.NewFromConfig(config)
	_, err := admin.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: awssdk.String("audit"), ShardCount: awssdk.Int32(2)})
	must(t, err)
	d, err := NewKinesis(config, KinesisConfig{Stream: "audit"})
	must(t, err)
	hurry(t, &d.sender)
	return &rig{destination: d, operation: "PutRecords", received: func() (all []string) {
		shards, err := admin.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: awssdk.String("audit")})
		must(t, err)
		for _, shard := range shards.Shards {
			it, err := admin.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
				StreamName: awssdk.String("audit"), ShardId: shard.ShardId, ShardIteratorType: kinesistypes.ShardIteratorTypeTrimHorizon,
			})
			must(t, err)
			for next := it.ShardIterator; next != nil; {
				out, err := admin.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
				must(t, err)
				if next = out.NextShardIterator; len(out.Records) == 0 {
					break
				}
				for _, r := range out.Records {
					all = append(all, string(r.Data))
				}
			}
		}
		return all
	}}
}

func motoLogs(t *testing.T, config awssdk.Config) *rig {
	t.Helper()
	admin := cloudwatchlogs.NewFromConfig(config)
	group, stream := awssdk.String("/mcp/audit"), awssdk.String("files")
	_, err := admin.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
	must(t, err)
	_, err = admin.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream})
	must(t, err)
	d, err := NewLogs(config, LogsConfig{Group: *group, Stream: *stream})
	must(t, err)
	hurry(t, &d.sender)
	return &rig{destination: d, operation: "PutLogEvents", received: func() (all []string) {
		for token := (*string)(nil); ; {
			out, err := admin.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
				LogGroupName: group, LogStreamName: stream, StartFromHead: awssdk.Bool(true), NextToken: token,
			})
			must(t, err)
			if len(out.Events) == 0 {
				return all
			}
			for _, e := range out.Events {
				all = append(all, *e.Message)
			}
			token = out.NextForwardToken
		}
	}}
}

func motoFirehose(t *testing.T, config awssdk.Config, base string) *rig {
	t.Helper()
	get := func(method, path string) []byte {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, http.NoBody)
		must(t, err)
		keys, err := config.Credentials.Retrieve(t.Context())
		must(t, err)
		must(t, v4.NewSigner().SignHTTP(t.Context(), keys, req, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now()))
		resp, err := config.HTTPClient.Do(req)
		must(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, body)
		}
		return body
	}
	get(http.MethodPut, "/audit-bucket")
	_, err := firehose.NewFromConfig(config).CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: awssdk.String("audit"),
		ExtendedS3DestinationConfiguration: &firehosetypes.ExtendedS3DestinationConfiguration{
			BucketARN: awssdk.String("arn:aws:s3:::audit-bucket"), RoleARN: awssdk.String("arn:aws:iam::123456789012:role/firehose"),
		},
	})
	must(t, err)
	d, err := NewFirehose(config, FirehoseConfig{Stream: "audit"})
	must(t, err)
	hurry(t, &d.sender)
	return &rig{destination: d, operation: "PutRecordBatch", received: func() (all []string) {
		var list struct {
			Contents []struct {
				Key string `xml:"Key"`
			} `xml:"Contents"`
		}
		must(t, xml.Unmarshal(get(http.MethodGet, "/audit-bucket?list-type=2"), &list))
		for _, object := range list.Contents {
			all = append(all, lines(t, string(get(http.MethodGet, fmt.Sprintf("/audit-bucket/%s", object.Key))))...)
		}
		return all
	}}
}
