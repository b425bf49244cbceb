package config

import (
	"strings"
	"testing"
)

func TestCheckWebhookURL(t *testing.T) {
	tests := map[string]struct{ url, want string }{
		"https":       {"https://example.com/hook", ""},
		"http":        {"http://example.com:8080", ""},
		"IPv6":        {"https://[2001:db8::1]:443/", ""},
		"user":        {"https://ada:pw@example.com/", "user name or password"},
		"ftp":         {"ftp://example.com/", "must begin with https://"},
		"file":        {"file:///etc/passwd", "must begin with https://"},
		"no scheme":   {"example.com/hook", "must begin with https://"},
		"no host":     {"https:///hook", "must begin with https://"},
		"only a port": {"https://:443/hook", "must begin with https://"},
		"port":        {"https://example.com:99999/", "port"},
		"nonsense":    {"https://exa mple.com/%zz", "is not valid"},
		"port 0":      {"https://example.com:0/", "port"},
		"fragment":    {"https://example.com/#a", "\"#\""},
		"variable":    {"https://example.com/${tag}", "variables"},
		"empty":       {"", "must begin with https://"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := CheckWebhookURL(tt.url)
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "pw")) {
				t.Errorf("error %v; want …%s…", err, tt.want)
			}
		})
	}
}
