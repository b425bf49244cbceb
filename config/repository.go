package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pathComponent is the OCI distribution specification's grammar for one part
// of a repository name; it is a safe status context and argument, too.
var pathComponent = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)

const pathComponentRule = "it is made of lower-case letters and digits, with . _ or - between them"

// imageRepository reads [host[:port]/]path. A first part without a dot, a
// colon or "localhost" is no host: the default registry is meant.
func (r *reader) imageRepository(v *yaml.Node) string {
	s, ok := r.text(v, `"repository"`)
	if !ok {
		return ""
	}
	if err := checkRepository(s); err != nil {
		r.errorf(v, "repository %s: %s", r.show(v), err)
		return ""
	}
	return s
}

func checkRepository(s string) error {
	if strings.Contains(s, "${") {
		return fmt.Errorf("variables are not replaced here; write the name out")
	}
	if strings.Contains(s, "://") {
		return fmt.Errorf(`write it without "https://"`)
	}
	if strings.Contains(s, "@") {
		return fmt.Errorf(`a repository is named without a digest; remove the "@" and what follows`)
	}
	parts := strings.Split(s, "/")
	if first := parts[0]; len(parts) > 1 && (strings.ContainsAny(first, ".:") || first == "localhost") {
		if err := checkHost(first); err != nil {
			return fmt.Errorf("%q is no registry: %w", first, err)
		}
		parts = parts[1:]
	}
	if last := parts[len(parts)-1]; strings.Contains(last, ":") {
		return fmt.Errorf(`a repository is named without a tag; remove the ":" and put the tag into a rule's "tags"`)
	}
	return CheckRepositoryPath(strings.Join(parts, "/"))
}

// CheckRepositoryPath says in one sentence why a name, without a host, cannot
// be an image repository's.
func CheckRepositoryPath(s string) error {
	for p := range strings.SplitSeq(s, "/") {
		if !pathComponent.MatchString(p) {
			return fmt.Errorf("%q cannot be a part of a repository name: %s", p, pathComponentRule)
		}
	}
	if len(s) > 255 {
		return fmt.Errorf("the name has %d characters; 255 are the most", len(s))
	}
	return nil
}

// registryHost is a DNS name, an IPv4 or a bracketed IPv6 address, with an
// optional port, as names of images have it; lower case, so that one host has
// one spelling.
var registryHost = regexp.MustCompile(`^(?:` + hostLabel + `(?:\.` + hostLabel + `)*|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$`)

const hostLabel = `[a-z0-9](?:[a-z0-9-]*[a-z0-9])?`

// checkHost is the sentence for what should be a host and is none.
func checkHost(s string) error {
	switch lower := strings.ToLower(s); {
	case registryHost.MatchString(s):
		return nil
	case registryHost.MatchString(lower):
		return errors.New("a host is written in lower case")
	}
	return errors.New(`a host is written host or host:port, without "https://" and without a path`)
}
