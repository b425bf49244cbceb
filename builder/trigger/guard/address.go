package guard

import (
	"net/netip"
	"slices"
)

// classify says what kind of special address it is, "" for an ordinary one,
// and whether AllowPrivate opens it.
func classify(addr netip.Addr) (why string, private bool) {
	for _, r := range special() {
		if slices.ContainsFunc(r.prefixes, func(p string) bool { return netip.MustParsePrefix(p).Contains(addr) }) {
			return r.why, r.private
		}
	}
	return "", false
}

// Special says what keeps an address from being an ordinary one on the
// internet ("a private address"), "" for nothing.
func Special(addr netip.Addr) string {
	why, _ := classify(addr.Unmap().WithZone(""))
	return why
}

type row struct {
	why      string
	private  bool
	prefixes []string
}

// special are addresses that are never somebody else's web server. Private
// ones are opened by AllowPrivate, the others by naming them in AllowHosts:
// who lets triggers into the network does not mean the cloud's metadata
// service, which hands out credentials. Sources: the IANA special-purpose
// address registries (RFC 6890) and the clouds' manuals.
// The first row that holds an address names it.
func special() []row {
	return []row{
		{"the address of a cloud's metadata service", false, []string{
			"169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128", // Amazon, and most others
			"100.100.100.200/32",                       // Alibaba
			"168.63.129.16/32",                         // Azure
			"192.0.0.192/32", "fd00:c1::a9fe:a9fe/128", // Oracle
			"fd20:ce::254/128", // Google, over IPv6
		}},
		{"a loopback address", true, []string{"127.0.0.0/8", "::1/128"}},
		{"a private address", true, []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"}},
		{"a link-local address", true, []string{"169.254.0.0/16", "fe80::/10"}},
		{"a shared address (carrier-grade NAT)", true, []string{"100.64.0.0/10"}},
		{"a multicast address", false, []string{"224.0.0.0/4", "ff00::/8"}},
		{"an address of this host", true, []string{"0.0.0.0/8", "::/128"}},
		{"an IPv6 address that stands for an IPv4 one", false, []string{
			"64:ff9b::/96", "64:ff9b:1::/48", // NAT64
			"2002::/16", "2001::/32", "::/96", // 6to4, Teredo, IPv4-compatible
			"::ffff:0:0:0/96", // SIIT
		}},
		{"a reserved address", false, []string{
			"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
			"100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
		}},
	}
}
