package gitlab

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Reachable says in one sentence why the server could not deliver to us, "" if
// it could for all that can be told from here.
func (f *Forge) Reachable() string {
	ours, err := url.Parse(f.HookURL())
	if err != nil || ours.Hostname() == "" {
		return "the server has no address that GitLab could deliver to; write url: https://… into the server file"
	}
	theirs, err := url.Parse(f.Config.URL)
	if err != nil {
		return ""
	}
	const mend = "; write the address by which it does into the server file (url: https://builds.example.com), or let us ask instead (events: poll)"
	near := inside(theirs.Hostname())
	switch where := inside(ours.Hostname()); {
	case where == thisMachine && near != thisMachine:
		return fmt.Sprintf("GitLab at %s cannot deliver to %s, which only this machine reaches%s", f.Config.URL, ours.Host, mend)
	case where == thisNetwork && theirs.Hostname() == "gitlab.com":
		return fmt.Sprintf("gitlab.com cannot deliver to %s, which only this network reaches%s", ours.Host, mend)
	}
	return ""
}

// reach is from where an address can be reached.
type reach int

const (
	everywhere reach = iota
	thisNetwork
	thisMachine
)

var carrierNAT = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// inside tells from where a host can be reached, by its address or by the end
// of its name (RFC 6761, RFC 6762, RFC 8375, and .internal of ICANN's).
func inside(host string) reach {
	if ip, err := netip.ParseAddr(host); err == nil {
		switch ip = ip.Unmap(); {
		case ip.IsLoopback() || ip.IsUnspecified():
			return thisMachine
		case ip.IsPrivate() || ip.IsLinkLocalUnicast() || carrierNAT.Contains(ip):
			return thisNetwork
		}
		return everywhere
	}
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(host, ".")), ".")
	switch last := labels[len(labels)-1]; {
	case last == "localhost":
		return thisMachine
	case len(labels) == 1, slices.Contains([]string{"local", "internal", "lan", "test", "invalid"}, last),
		last == "arpa" && labels[len(labels)-2] == "home":
		return thisNetwork
	}
	return everywhere
}
