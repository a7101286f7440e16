package redis

import (
	"context"
	"fmt"
)

// giveBack returns unused permits, as many keys at a time as one trip should carry.
func (s *Store) giveBack(ctx context.Context) error {
	const trip = 128
	keys, args := make([]string, 0, trip), make([]any, 0, 2*trip)
	send := func() error {
		if len(keys) == 0 {
			return nil
		}
		err := s.link.within(ctx, func(ctx context.Context) error {
			_, err := s.link.run(ctx, s.scripts.giveBack, keys, args)
			return err
		})
		keys, args = keys[:0], args[:0]
		return err
	}
	for key, e := range s.leases.drain(s.clock.local()) {
		keys, args = append(keys, s.names.bucket(key)), append(args, int64(e.interval), e.spare)
		if len(keys) == trip {
			if err := send(); err != nil {
				return fmt.Errorf("unused permits are lost: %w", err)
			}
		}
	}
	if err := send(); err != nil {
		return fmt.Errorf("unused permits are lost: %w", err)
	}
	return nil
}
