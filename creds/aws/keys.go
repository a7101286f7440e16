package aws

import (
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
)

// keys are credentials and what is known of their life. A closure holds the secret,
// because fmt walks into the fields of whatever has them.
type keys struct {
	reveal  func() awssdk.Credentials // nil: there are none
	at      time.Time                 // when they were had
	ends    bool
	expires time.Time
}

func hold(c awssdk.Credentials, at time.Time) keys {
	return keys{func() awssdk.Credentials { return c }, at, c.CanExpire, c.Expires}
}

// alive reports whether the keys have not ended, by the wall clock and by the time
// that has passed since they were had: a clock that steps back does not revive them.
func (k keys) alive(now time.Time) bool {
	if k.reveal == nil {
		return false
	}
	if !k.ends {
		return now.Sub(k.at) < keepMost
	}
	return now.Before(k.expires) && now.Sub(k.at) < k.expires.Sub(k.at.Round(0))
}

// fresh reports whether the keys serve without being renewed.
func (k keys) fresh(now time.Time) bool {
	age := now.Sub(k.at)
	if !k.alive(now) || age < 0 {
		return false
	}
	if !k.ends {
		return age < keep
	}
	life := k.expires.Sub(k.at.Round(0))
	return age < min(life-min(window, life/3), keepMost)
}
