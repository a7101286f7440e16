package redis_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/ratelimit"
	"github.com/mcpsec/mcpsec-go/ratelimit/redis"
)

// Replicas with the same configuration hold these limits together. The rate goes on
// with a quarter of it for each of four replicas when Redis is away; the budget,
// like every limit that does not say otherwise, refuses.
func Example() {
	client := goredis.NewClient(&goredis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := redis.New(client, redis.Config{Secret: []byte("the same in all replicas")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	_, err = mcpsec.New(ratelimit.New(
		ratelimit.Shared(store),
		ratelimit.PerPrincipal(600, time.Minute).OnOutage(ratelimit.LocalShare(4)),
		ratelimit.Budget("$5/day"),
		ratelimit.Price("search", "$0.01"),
	))
	fmt.Println(err)
	// Output: <nil>
}

// A client that would stall calls for seconds when Redis hangs is refused at once.
func ExampleNew() {
	client := goredis.NewClient(&goredis.Options{Addr: "redis.internal:6379"})
	defer client.Close()
	_, err := redis.New(client, redis.Config{})
	fmt.Println(err)
	// Output: ratelimit/redis: the client ignores deadlines and would stall calls for seconds when Redis hangs: set ContextTimeoutEnabled in its options
}

// Nothing listens at this address. A decision that cannot be made is an error, never
// a yes, and takes no longer than Config.Timeout.
func ExampleStore_Take() {
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := redis.New(client, redis.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	_, err = store.Take(context.Background(), &ratelimit.Request{
		Buckets: []ratelimit.Bucket{{Key: "alice", Interval: time.Second, Burst: 10}},
	})
	fmt.Println(errors.Is(err, redis.ErrDown))
	// Output: true
}

// A server opens its connections before it serves, and says so if it cannot.
func ExampleStore_Ready() {
	client := goredis.NewClient(&goredis.Options{
		Addr: "127.0.0.1:1", ContextTimeoutEnabled: true, DialerRetries: 1,
	})
	defer client.Close()
	store, err := redis.New(client, redis.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if err := store.Ready(context.Background()); errors.Is(err, redis.ErrDown) {
		fmt.Println("start without limits that are shared? no")
	}
	// Output: start without limits that are shared? no
}
