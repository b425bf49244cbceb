package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// samples are measurements of one side.
type samples []time.Duration

// median is the middle one, or the mean of the two in the middle.
func (s samples) median() time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// row compares two sides. A ratio above 1 means that ours is faster.
type row struct {
	name        string
	ours, other samples
	least       float64       // the ratio that is to be reached; 0: no ratio is
	most        time.Duration // what ours may take at most; 0: any time
	push        samples       // of ours: git push until the server has accepted it
	note        string
}

// add takes what one round measured.
func (r *row) add(push, ours, other time.Duration) {
	r.push, r.ours, r.other = append(r.push, push), append(r.ours, ours), append(r.other, other)
}

func (r row) ratio() float64 {
	ours := r.ours.median()
	if ours == 0 {
		return 0
	}
	return float64(r.other.median()) / float64(ours)
}

func (r row) verdict() string {
	switch {
	case r.most > 0 && r.ours.median() <= r.most:
		return "≤ " + milliseconds(r.most) + " ms reached"
	case r.most > 0:
		return "≤ " + milliseconds(r.most) + " ms MISSED"
	case r.least == 0:
		return ""
	case r.ratio() >= r.least:
		return fmt.Sprintf("≥ %g reached", r.least)
	}
	return fmt.Sprintf("≥ %g MISSED", r.least)
}

func printTable(w io.Writer, rows []row) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "name\tours (ms)\tmin–max\tother (ms)\tmin–max\tratio\taim\tgit push (ms)\tours is")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.2f\t%s\t%s\t%s\n", r.name,
			milliseconds(r.ours.median()), span(r.ours), milliseconds(r.other.median()), span(r.other), r.ratio(), r.verdict(), milliseconds(r.push.median()), r.note)
	}
	t.Flush()
}

func span(s samples) string {
	if len(s) == 0 {
		return "–"
	}
	return milliseconds(slices.Min(s)) + "–" + milliseconds(slices.Max(s))
}

func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.2g", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// record is a row as programs read it; times are in unit.
type record struct {
	Name  string  `json:"name"`
	Ours  float64 `json:"ours"`
	Other float64 `json:"other"`
	Ratio float64 `json:"ratio"`
	Unit  string  `json:"unit"`
}

func (r row) record() record {
	return record{Name: r.name, Ours: r.ours.median().Seconds(), Other: r.other.median().Seconds(), Ratio: r.ratio(), Unit: "s"}
}

// writeRows writes the rows as JSON lines.
func writeRows(name string, rows []row) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	out := json.NewEncoder(f)
	for _, r := range rows {
		if err := out.Encode(r.record()); err != nil {
			f.Close()
			return err
		}
	}
	return f.Close()
}
