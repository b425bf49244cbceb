package guard

import (
	"net/netip"
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	tests := map[string]struct {
		why     string
		private bool
	}{
		"93.184.215.14":            {"", false},
		"2606:2800:21f:cb07::1":    {"", false},
		"127.0.0.1":                {"loopback", true},
		"127.255.255.254":          {"loopback", true},
		"::1":                      {"loopback", true},
		"10.1.2.3":                 {"private", true},
		"172.16.0.1":               {"private", true},
		"172.32.0.1":               {"", false},
		"192.168.1.1":              {"private", true},
		"fd12:3456::1":             {"private", true},
		"169.254.1.1":              {"link-local", true},
		"fe80::1":                  {"link-local", true},
		"169.254.169.254":          {"metadata", false},
		"fd00:ec2::254":            {"metadata", false},
		"fd20:ce::254":             {"metadata", false},
		"fd00:c1::a9fe:a9fe":       {"metadata", false},
		"100.100.100.200":          {"metadata", false},
		"168.63.129.16":            {"metadata", false},
		"100.64.0.1":               {"carrier-grade", true},
		"224.0.0.1":                {"multicast", false},
		"ff02::1":                  {"multicast", false},
		"0.0.0.0":                  {"this host", true},
		"::":                       {"this host", true},
		"64:ff9b::7f00:1":          {"stands for an IPv4", false},
		"64:ff9b:1::a00:1":         {"stands for an IPv4", false},
		"2002:7f00:1::":            {"stands for an IPv4", false},
		"2001:0:7f00:1::":          {"stands for an IPv4", false},
		"::7f00:1":                 {"stands for an IPv4", false},
		"255.255.255.255":          {"reserved", false},
		"192.0.2.1":                {"reserved", false},
		"2001:db8::1":              {"reserved", false},
		"::ffff:127.0.0.1":         {"loopback", true},
		"::ffff:169.254.169.254":   {"metadata", false},
		"0:0:0:0:0:ffff:a01:203":   {"private", true},
		"::ffff:93.184.215.14":     {"", false},
		"::ffff:0:127.0.0.1":       {"stands for an IPv4", false},
		"2a00:1450:4001:830::200e": {"", false},
	}
	for in, want := range tests {
		t.Run(in, func(t *testing.T) {
			why, private := classify(netip.MustParseAddr(in).Unmap())
			if !strings.Contains(why, want.why) || (why == "") != (want.why == "") || private != want.private {
				t.Errorf("%q, private %t; want %q, %t", why, private, want.why, want.private)
			}
		})
	}
}

func TestGuardCheck(t *testing.T) {
	tests := map[string]struct {
		o       Options
		address string
		want    string // "" is let through
	}{
		"public":                       {Options{}, "93.184.215.14:443", ""},
		"public, high port":            {Options{}, "93.184.215.14:8443", ""},
		"public, mail":                 {Options{}, "93.184.215.14:25", "asked on port 25, where nothing is that a trigger speaks to"},
		"private":                      {Options{}, "10.1.2.3:443", `hook.example (10.1.2.3) is a private address, and triggers may not reach it; the operator can allow it in the server file with triggers.allowHosts: ["hook.example"] or triggers.allowPrivate: true`},
		"mapped":                       {Options{}, "[::ffff:127.0.0.1]:443", "(127.0.0.1) is a loopback address"},
		"zone":                         {Options{}, "[fe80::1%lo]:443", "is a link-local address"},
		"allowPrivate":                 {Options{AllowPrivate: true}, "10.1.2.3:443", ""},
		"allowPrivate, mapped":         {Options{AllowPrivate: true}, "[::ffff:10.1.2.3]:8080", ""},
		"allowPrivate, ssh":            {Options{AllowPrivate: true}, "10.1.2.3:22", "port 22"},
		"allowPrivate is not metadata": {Options{AllowPrivate: true}, "169.254.169.254:80", `metadata service, and triggers may not reach it; the operator can allow it in the server file with triggers.allowHosts: ["hook.example"]`},
		"allowPrivate is not NAT64":    {Options{AllowPrivate: true}, "[64:ff9b::a00:1]:80", "stands for an IPv4"},
		"address":                      {Options{AllowHosts: []string{"169.254.169.254"}}, "169.254.169.254:80", ""},
		"network":                      {Options{AllowHosts: []string{"10.0.0.0/8"}}, "10.1.2.3:22", ""},
		"network, mapped":              {Options{AllowHosts: []string{"10.0.0.0/8"}}, "[::ffff:10.1.2.3]:80", ""},
		"beside the network":           {Options{AllowHosts: []string{"10.0.0.0/16"}}, "10.1.2.3:80", "private"},
		"no address":                   {Options{}, "unix", "dial hook.example"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, err := New(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			err = g.check("hook.example", tt.address, nil)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v\nwant …%s…", err, tt.want)
			}
		})
	}
}

func TestAllowHosts(t *testing.T) {
	g, err := New(Options{AllowHosts: []string{"Hooks.lan", "*.corp.example"}})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"hooks.lan": true, "HOOKS.LAN.": true, "a.hooks.lan": false, "xhooks.lan": false,
		"a.corp.example": true, "a.b.corp.example": true, "corp.example": false, ".corp.example": false, "xcorp.example": false, "": false,
	} {
		if got := g.hostAllowed(host); got != want {
			t.Errorf("hostAllowed(%q) = %t", host, got)
		}
	}
	for _, bad := range []string{"", "https://hooks.lan", "hooks.lan:80", "*.*.lan", "a*", "10.0.0.0/99", "0x7f.1", "2130706433"} {
		if _, err := New(Options{AllowHosts: []string{bad}}); err == nil || !strings.Contains(err.Error(), "triggers.allowHosts") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
