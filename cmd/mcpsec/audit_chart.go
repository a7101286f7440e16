package main

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The drawing area of a chart inside its picture, in SVG units.
const (
	chartWidth, chartHeight = 560, 250
	plotLeft, plotRight     = 58, chartWidth - 12
	plotTop, plotBottom     = 12, chartHeight - 34
)

// A chart is a picture over time, as the page's template draws it. Numbers are
// computed here, text is escaped there.
type chart struct {
	Title, Unit, About string
	Legend             []legendEntry
	YTicks, XTicks     []tick
	Bars               []bar
	Lines              []polyline
}

type legendEntry struct{ Class, Name string }

type tick struct {
	At    string // position along the axis
	Label string
	Alt   bool // hidden where there is little room
}

// A bar is one slot of time: pieces on top of each other, and what they mean.
type bar struct {
	Title  string
	Pieces []piece
}

type piece struct{ Class, X, Y, Width, Height string }

type polyline struct {
	Class, Path string
	Dots        []dot // points that no line leads to, and the titles of all
}

type dot struct{ X, Y, Title, Class string }

func coord(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// minSlots is how many slots an axis has room for, also when there are fewer.
const minSlots = 12

// A timeAxis maps slots to places.
type timeAxis struct {
	series *timeSeries
	slots  int64
	width  float64 // of one slot
}

func newTimeAxis(s *timeSeries) timeAxis {
	slots := max(minSlots, s.last-s.first+1)
	return timeAxis{s, slots, float64(plotRight-plotLeft) / float64(slots)}
}

func (x timeAxis) left(i int64) float64 { return plotLeft + float64(i-x.series.first)*x.width }

// ticks labels about five slots.
func (x timeAxis) ticks() []tick {
	every := (x.slots + 4) / 5
	format := "15:04:05"
	switch span := time.Duration(x.slots) * x.series.width(); {
	case x.series.width() >= 28*24*time.Hour:
		format = "2006-01"
	case span > 36*time.Hour:
		format = "Jan 2"
		if x.series.width() < 12*time.Hour {
			format = "Jan 2 15:04"
		}
	case x.series.width() >= time.Minute:
		format = "15:04"
	}
	var ticks []tick
	for i := int64(0); i < x.slots; i += every {
		at := x.left(x.series.first + i)
		ticks = append(ticks, tick{coord(at), x.series.start(x.series.first + i).Format(format), (i/every)%2 == 1})
	}
	return ticks
}

// slotName says which time a slot covers.
func (x timeAxis) slotName(i int64) string {
	return x.series.start(i).Format("2006-01-02 15:04:05") + " UTC, " + stepName(x.series.width())
}

// A layer is one piece of every bar.
type layer struct {
	class, name string
	value       func(*slot) float64
}

// stacked draws bars, one a slot, of layers on top of each other. The scale has no
// steps below minStep.
func stacked(c chart, s *timeSeries, layers []layer, minStep float64) chart {
	x := newTimeAxis(s)
	top := 0.0
	for _, sl := range s.slots {
		sum := 0.0
		for _, l := range layers {
			sum += l.value(sl)
		}
		top = max(top, sum)
	}
	step := max(minStep, niceStep(top/4))
	top = max(step, math.Ceil(top/step)*step)
	height := func(v float64) float64 { return v / top * (plotBottom - plotTop) }
	for v := 0.0; v <= top+step/2; v += step {
		c.YTicks = append(c.YTicks, tick{At: coord(plotBottom - height(v)), Label: counted(v)})
	}
	c.XTicks = x.ticks()
	for i := s.first; i <= s.last; i++ {
		sl := s.slots[i]
		if sl == nil {
			continue
		}
		b := bar{Title: x.slotName(i)}
		y := float64(plotBottom)
		for _, l := range layers {
			v := l.value(sl)
			if v <= 0 {
				continue
			}
			h := max(height(v), 0.7) // what happened once is seen beside millions
			y -= h
			gap := min(1, x.width*0.15)
			b.Pieces = append(b.Pieces, piece{l.class, coord(x.left(i) + gap/2), coord(y), coord(x.width - gap), coord(h)})
			b.Title += "; " + l.name + " " + counted(v)
		}
		if b.Pieces != nil {
			c.Bars = append(c.Bars, b)
		}
	}
	for _, l := range layers {
		c.Legend = append(c.Legend, legendEntry{l.class, l.name})
	}
	return c
}

// niceStep returns the next of 1, 2, 5, 10, 20, ... that is not below v; labels of
// counts need no fractions.
func niceStep(v float64) float64 {
	if v <= 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 1
	}
	magnitude := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*magnitude >= v {
			return m * magnitude
		}
	}
	return 10 * magnitude
}

// percentiles draws latencies on a logarithmic scale.
func percentiles(c chart, s *timeSeries) chart {
	low, high := time.Duration(math.MaxInt64), time.Duration(0)
	for _, sl := range s.slots {
		if sl.latencies.count > 0 {
			low, high = min(low, sl.latencies.percentile(50)), max(high, sl.latencies.percentile(99))
		}
	}
	from := math.Floor(math.Log10(float64(max(cmp.Or(low, 1), time.Microsecond))))
	to := max(from+1, math.Ceil(math.Log10(float64(max(high, time.Microsecond)))))
	x := newTimeAxis(s)
	y := func(d time.Duration) float64 {
		at := (math.Log10(float64(max(d, time.Microsecond))) - from) / (to - from)
		return plotBottom - max(0, min(1, at))*(plotBottom-plotTop)
	}
	for e := from; e <= to; e++ {
		c.YTicks = append(c.YTicks, tick{At: coord(plotBottom - (e-from)/(to-from)*(plotBottom-plotTop)), Label: briefly(time.Duration(math.Pow(10, e)))})
	}
	c.XTicks = x.ticks()
	for _, p := range []struct {
		class, name string
		percentile  float64
	}{{"p99", "p99", 99}, {"p95", "p95", 95}, {"p50", "p50", 50}} {
		c.Lines = append(c.Lines, trace(x, p.class, p.percentile, y))
		c.Legend = append(c.Legend, legendEntry{p.class, p.name})
	}
	return c
}

// trace draws one percentile. Slots without calls break the line.
func trace(x timeAxis, class string, percentile float64, y func(time.Duration) float64) polyline {
	line := polyline{Class: class}
	var path strings.Builder
	has := func(i int64) bool { s := x.series.slots[i]; return s != nil && s.latencies.count > 0 }
	for i := x.series.first; i <= x.series.last; i++ {
		if !has(i) {
			continue
		}
		d := x.series.slots[i].latencies.percentile(percentile)
		px, py := coord(x.left(i)+x.width/2), coord(y(d))
		command := "L"
		if !has(i - 1) {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%s %s", command, px, py)
		d1 := dot{px, py, fmt.Sprintf("%s: %s within %s", x.slotName(i), class, briefly(d)), "touch"}
		if !has(i-1) && !has(i+1) {
			d1.Class = "alone"
		}
		line.Dots = append(line.Dots, d1)
	}
	line.Path = path.String()
	return line
}

// The geometry of a chart, for the template.

func (chart) Width() int  { return chartWidth }
func (chart) Height() int { return chartHeight }
func (chart) Left() int   { return plotLeft }
func (chart) Right() int  { return plotRight }
func (chart) Bottom() int { return plotBottom }
func (chart) LabelX() int { return plotLeft - 8 }
func (chart) LabelY() int { return plotBottom + 20 }
