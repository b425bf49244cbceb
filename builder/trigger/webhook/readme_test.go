package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// verify is the receiver's code that README.md shows.
func verify(secret, header string, body []byte, now time.Time) bool {
	var t, v1 string
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			t = value
		case "v1":
			v1 = value
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	want := hex.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(v1), []byte(want))
}

func TestReadmeVerifies(t *testing.T) {
	at := time.Unix(1795262400, 0)
	body := []byte(`{"event":"pushed"}`)
	header := Sign(secret, at, body)
	tests := map[string]struct {
		header string
		body   string
		now    time.Time
		want   bool
	}{
		"ours":           {header, string(body), at.Add(time.Minute), true},
		"a later scheme": {header + ",v2=abc", string(body), at, true},
		"another body":   {header, `{"event":"failed"}`, at, false},
		"recorded":       {header, string(body), at.Add(6 * time.Minute), false},
		"moved time":     {strings.Replace(header, "t=17", "t=18", 1), string(body), at, false},
		"another secret": {Sign("another secret, long enough", at, body), string(body), at, false},
		"none":           {"", string(body), at, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := verify(secret, tt.header, []byte(tt.body), tt.now); got != tt.want {
				t.Errorf("verify = %t", got)
			}
		})
	}
}

func TestReadmeShowsThisCode(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	from, to := strings.Index(string(code), "func verify("), strings.Index(string(code), "\nfunc TestReadmeVerifies")
	if !strings.Contains(string(readme), strings.TrimSpace(string(code[from:to]))) {
		t.Error("README.md does not show verify as it is here")
	}
}
