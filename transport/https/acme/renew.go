package acme

import (
	"context"
	"sync"
	"time"
)

// Watch implements pki.Source: it gets the certificates that are missing, and renews them.
func (s *Source) Watch(ctx context.Context, changed func(), fault func(error)) error {
	var group sync.WaitGroup
	defer group.Wait()
	if s.working.TryLock() {
		group.Go(func() { defer s.working.Unlock(); s.work(ctx) })
	}
	told := ""
	s.mu.Lock()
	seen, news := s.times, s.news
	s.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
		s.mu.Lock()
		now, err := s.times, s.fault
		news = s.news
		s.mu.Unlock()
		if now != seen {
			told, seen = "", now
			changed()
		}
		if err != nil && err.Error() != told {
			told = err.Error()
			fault(err)
		}
	}
}

// work gets what is missing, and looks for what is to be renewed.
func (s *Source) work(ctx context.Context) {
	wait := firstRetry
	for {
		pause := checkEvery
		if err := s.manage(ctx); err != nil && ctx.Err() == nil {
			pause, wait = wait, min(2*wait, lastRetry)
			s.fail(err)
		} else {
			wait = firstRetry
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (s *Source) manage(ctx context.Context) error {
	for _, domain := range s.domains {
		if err := s.config.ManageSync(ctx, []string{domain}); err != nil {
			return err
		}
		for _, c := range s.cache.AllMatchingCertificates(domain) {
			if c.NeedsRenewal(s.config) {
				if err := s.renew(ctx, domain, false); err != nil {
					return err
				}
				break
			}
		}
		s.reload(domain)
	}
	return nil
}

func (s *Source) renew(ctx context.Context, domain string, force bool) error {
	if err := s.config.RenewCertSync(ctx, domain, force); err != nil {
		return err
	}
	c, err := s.config.CacheManagedCertificate(ctx, domain)
	if err != nil {
		return err
	}
	s.set(domain, &c.Certificate)
	return nil
}
