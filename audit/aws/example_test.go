package aws_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/mcpsec/mcpsec-go/audit"
	auditaws "github.com/mcpsec/mcpsec-go/audit/aws"
)

// config is what the SDK is told. A server would have credentials that renew
// themselves, of a role that may do nothing but write to the stream.
func config() aws.Config {
	return aws.Config{
		Region:      "eu-central-1",
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "an example", ""),
		// To reach the service through a VPC endpoint: BaseEndpoint.
		// To choose proxy, certificates and TLS versions: HTTPClient.
	}
}

func ExampleNewKinesis() {
	stream, err := auditaws.NewKinesis(config(), auditaws.KinesisConfig{Stream: "mcp-audit"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// For audit.New, which then owns the stream: it delivers to it, and closes it.
	_ = []audit.Option{audit.Dir("audit"), audit.Ship("kinesis", stream, audit.Required())}

	fmt.Println(stream)
	// Output: Kinesis PutRecords to "mcp-audit"
}

func ExampleNewFirehose() {
	_, err := auditaws.NewFirehose(config(), auditaws.FirehoseConfig{Stream: "mcp audit"})
	fmt.Println(err)
	// Output: audit/aws: Firehose: FirehoseConfig.Stream: need the name of a Firehose stream
}

func ExampleNewLogs() {
	logs, err := auditaws.NewLogs(config(), auditaws.LogsConfig{Group: "/mcp/audit", Stream: "files-server"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer logs.Close()

	// What audit.Ship does with a destination, here with a context that has ended.
	ctx, cancel := context.WithTimeout(context.Background(), -time.Second)
	defer cancel()
	_, err = logs.Deliver(ctx, []audit.Record{{Origin: "files", Line: []byte(`{"seq":0,"time":"2026-11-22T12:00:00Z","event":"log"}`)}})
	fmt.Println(err)
	// Output: audit/aws: CloudWatch Logs PutLogEvents to "files-server" in "/mcp/audit": no answer in time: context deadline exceeded
}

func ExampleNewCloudTrail() {
	_, err := auditaws.NewCloudTrail(config(), auditaws.CloudTrailConfig{
		Channel: "arn:aws:cloudtrail:us-east-1:123456789012:channel/01234567-89ab-cdef",
	})
	fmt.Println(err)
	// Output: audit/aws: CloudTrail: CloudTrailConfig.Channel: is in us-east-1, aws.Config.Region is eu-central-1
}
