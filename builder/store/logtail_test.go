package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func TestLogTail(t *testing.T) {
	long := make([]string, 100)
	for i := range long {
		long[i] = fmt.Sprintf("line %03d\n", i)
	}
	tests := map[string]struct {
		log   []string // entries
		opts  store.Options
		limit int
		want  string
		cut   bool
	}{
		"nothing written":      {nil, store.Options{}, 10, "", false},
		"all of it":            {[]string{"one\n", "two\n"}, store.Options{}, 8, "one\ntwo\n", false},
		"its end":              {[]string{"one\n", "two\n"}, store.Options{}, 6, "e\ntwo\n", true},
		"nothing asked":        {[]string{"one\n"}, store.Options{}, 0, "", true},
		"less than nothing":    {[]string{"one\n"}, store.Options{}, -1, "", true},
		"several pages":        {long, store.Options{}, 10_000, strings.Join(long, ""), false},
		"the end of several":   {long, store.Options{}, 450, strings.Join(long[50:], ""), true},
		"inside a character":   {[]string{"aü€😀z"}, store.Options{}, 4, "z", true},
		"before a character":   {[]string{"aü€😀z"}, store.Options{}, 5, "😀z", true},
		"across entries":       {[]string{"a\xe2", "\x82\xacb"}, store.Options{}, 4, "€b", true},
		"still being written":  {[]string{"one\n", "tw\xe2\x82"}, store.Options{}, 100, "one\ntw", false},
		"no UTF-8 at all":      {[]string{"\x80\x80\x80\x80\x80\x80"}, store.Options{}, 4, "\x80\x80\x80\x80", true},
		"with what is missing": {[]string{"head", "aaaa", "bbbb", "cccc"}, store.Options{LogHead: 4, LogTail: 8}, 1000, "head\n[registry-build] 4 bytes of the log are left out here\nbbbbcccc", false},
		"after what is missing": {[]string{"head", "aaaa", "bbbb", "cccc"}, store.Options{LogHead: 4, LogTail: 8}, 6,
			"bbcccc", true},
		"just after what is missing": {[]string{"head", "aaaa", "bbbb", "cccc"}, store.Options{LogHead: 4, LogTail: 8}, 8,
			"bbbbcccc", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, l := logging(t, tt.opts)
			for _, entry := range tt.log {
				s.AppendLog(t, l, entry)
			}
			check := func(when string) {
				t.Helper()
				got, cut, err := s.LogTail(ctx, "b1", tt.limit)
				if got != tt.want || cut != tt.cut || err != nil {
					t.Errorf("%s: %q, cut %t, %v; want %q, %t", when, got, cut, err, tt.want, tt.cut)
				}
			}
			check("running")
			finish(t, s, l, builder.Failed)
			check("finished")
		})
	}
}

// However it is cut, the tail of good text is good text.
func TestLogTailCutsNoCharacter(t *testing.T) {
	s, l := logging(t, store.Options{})
	log := strings.Repeat("aü€😀\n", 20)
	for i := 0; i < len(log); i += 7 {
		s.AppendLog(t, l, log[i:min(i+7, len(log))])
	}
	for limit := range len(log) + 2 {
		got, cut, err := s.LogTail(ctx, "b1", limit)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(got) || !strings.HasSuffix(log, got) || len(got) > limit || len(got) < min(limit, len(log))-3 || cut != (len(got) < len(log)) {
			t.Errorf("%d bytes: %q, cut %t", limit, got, cut)
		}
	}
}

func TestLogTailOfAnUnknownBuild(t *testing.T) {
	s := storetest.New(t, store.Options{})
	if _, _, err := s.LogTail(ctx, "none", 10); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}
