package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ms(values ...int) samples {
	var s samples
	for _, v := range values {
		s = append(s, time.Duration(v)*time.Millisecond)
	}
	return s
}

func TestMedian(t *testing.T) {
	for name, tc := range map[string]struct {
		samples samples
		want    time.Duration
	}{
		"none":           {nil, 0},
		"one":            {ms(7), 7 * time.Millisecond},
		"odd, unordered": {ms(9, 1, 5), 5 * time.Millisecond},
		"even":           {ms(4, 1, 2, 100), 3 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			before := append(samples(nil), tc.samples...)
			if got := tc.samples.median(); got != tc.want {
				t.Errorf("median of %v is %v, want %v", tc.samples, got, tc.want)
			}
			if diff := cmp.Diff(before, tc.samples); diff != "" {
				t.Errorf("median changed the samples:\n%s", diff)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		row  row
		want string
	}{
		"reached exactly": {row{ours: ms(100), other: ms(400), least: 4}, "≥ 4 reached"},
		"missed":          {row{ours: ms(100), other: ms(399), least: 4}, "≥ 4 MISSED"},
		"only informs":    {row{ours: ms(100), other: ms(1)}, ""},
		"nothing of ours": {row{other: ms(1), least: 1}, "≥ 1 MISSED"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.row.verdict(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestOutput(t *testing.T) {
	rows := []row{{name: "fast", ours: ms(20, 10, 30), other: ms(80, 90, 70), least: 4, push: ms(5), note: "all of it"}}
	var table strings.Builder
	printTable(&table, rows)
	const want = `name  ours (ms)  min–max  other (ms)  min–max  ratio  aim          git push (ms)  ours is
fast  20         10–30    80          70–90    4.00   ≥ 4 reached  5              all of it
`
	if diff := cmp.Diff(want, table.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	file := filepath.Join(t.TempDir(), "out")
	if err := writeRows(file, rows); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"name":"fast","ours":0.02,"other":0.08,"ratio":4,"unit":"s"}`+"\n", string(data)); diff != "" {
		t.Errorf("BENCH_OUT (-want +got):\n%s", diff)
	}
}

func TestTakeTurns(t *testing.T) {
	var order strings.Builder
	side := func(name string) func() error {
		return func() error { order.WriteString(name); return nil }
	}
	for round := range 4 {
		if err := takeTurns(round, side("a"), side("b"), side("c")); err != nil {
			t.Fatal(err)
		}
		order.WriteString(" ")
	}
	if diff := cmp.Diff("abc bca cab abc ", order.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
