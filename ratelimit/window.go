package ratelimit

import (
	"errors"
	"time"
)

// A Window is the time over which a budget is counted: a calendar hour, day or
// month, or the time just past ([Sliding]). It is divided into slots that are
// numbered without gaps. The zero value is no window that New accepts.
type Window struct {
	unit   calendar
	length time.Duration  // of a sliding window
	zone   *time.Location // of a calendar window; nil means UTC
}

// A calendar is a unit of the calendar; 0 means a sliding window.
type calendar int

const (
	hour calendar = iota + 1
	day
	month
)

var calendarNames = [...]string{hour: "hour", day: "day", month: "month"}

// slidingSlots is how many slots a sliding window is divided into, beside the one
// that has just begun.
const slidingSlots = 16

// Hourly is the hour by the clock, in UTC.
func Hourly() Window { return Window{unit: hour} }

// Daily is the day of the calendar, in UTC.
func Daily() Window { return Window{unit: day} }

// Monthly is the month of the calendar, in UTC.
func Monthly() Window { return Window{unit: month} }

// Sliding counts what was spent in the time just past. Amounts leave the window in
// steps of a sixteenth of its length, never early: in any stretch of that length no
// more than the limit is booked.
func Sliding(length time.Duration) Window { return Window{length: length} }

// In returns the window by the calendar of a place. Where clocks are turned, a day
// has 23 or 25 hours. It changes nothing about a sliding window, and is refused for
// hours: they are the same everywhere, but where clocks differ by part of one.
func (w Window) In(zone *time.Location) Window {
	w.zone = zone
	return w
}

func (w Window) check() error {
	switch {
	case w.unit < 0 || w.unit > month || w.unit == 0 && w.length == 0:
		return errors.New("no window: use Hourly, Daily, Monthly or Sliding")
	case w.unit == hour && w.zone != nil && w.zone != time.UTC:
		return errors.New("hours are those of UTC: leave In out")
	case w.unit == 0 && (w.length < time.Second || w.length > 10*366*24*time.Hour):
		return errors.New("a sliding window is between a second and ten years long")
	}
	return nil
}

// String returns "hour", "day", "month", or a length for a sliding window. The zone
// is part of it unless it is UTC.
func (w Window) String() string {
	switch {
	case w.unit == 0:
		return w.length.String()
	case w.unit < 0 || w.unit > month:
		return "no window"
	case w.zone == nil || w.zone == time.UTC:
		return calendarNames[w.unit]
	}
	return calendarNames[w.unit] + " in " + w.zone.String()
}

// Slots returns how many slots are in the window at a time: 1 for one of the
// calendar, 17 for a sliding one.
func (w Window) Slots() int {
	if w.unit == 0 {
		return slidingSlots + 1
	}
	return 1
}

// A Slot is a stretch of time of a window.
type Slot struct {
	Index      int64     // the next one has the next number
	Start, End time.Time // End is the start of the next one
}

// Slot returns the slot that holds t.
func (w Window) Slot(t time.Time) Slot {
	zone := w.zone
	if zone == nil {
		zone = time.UTC
	}
	switch w.unit {
	case hour:
		return even(t, time.Hour)
	case day:
		y, m, d := t.In(zone).Date()
		// A date has one number wherever it is.
		index := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
		return Slot{index, begin(y, m, d, zone), begin(y, m, d+1, zone)}
	case month:
		y, m, _ := t.In(zone).Date()
		return Slot{int64(y)*12 + int64(m), begin(y, m, 1, zone), begin(y, m+1, 1, zone)}
	}
	return even(t, max(1, (w.length-1)/slidingSlots+1))
}

// begin returns when a day begins. Where clocks are put forward at midnight there is
// none, and time.Date may return an hour of the day before.
func begin(y int, m time.Month, d int, zone *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	if t.Hour() >= 12 {
		_, t = t.ZoneBounds()
	}
	return t
}

// even divides time since 1970 into slots of one width.
func even(t time.Time, width time.Duration) Slot {
	index := t.UnixNano() / int64(width)
	start := time.Unix(0, index*int64(width)).UTC()
	return Slot{index, start, start.Add(width)}
}
