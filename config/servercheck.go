package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The checks of single values of the server file. Their errors are sentences
// that never quote the value, which may be a secret out of ${env:…}.

var days = regexp.MustCompile(`^([0-9]{1,5})d`)

// parseDuration reads Go's durations with days before them: 7d, 1d12h, 90m.
func parseDuration(s string) (time.Duration, error) {
	m := days.FindStringSubmatch(s)
	if m == nil {
		return time.ParseDuration(s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, err
	}
	d := time.Duration(n) * day
	if s = s[len(m[0]):]; s == "" {
		return d, nil
	}
	rest, err := time.ParseDuration(s)
	if err == nil && (rest < 0 || rest >= day) {
		err = fmt.Errorf("%s is not within a day", s)
	}
	return d + rest, err
}

func checkListen(s string) error {
	_, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || strconv.FormatUint(n, 10) != port {
		return errors.New(`an address to listen on is host:port, like "127.0.0.1:8080", or ":8080" for every address`)
	}
	return nil
}

func checkServerURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("the address must begin with https:// (or http://) and a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the address has more than scheme, host and port; remove the rest")
	case u.Path != "" && u.Path != "/":
		return errors.New("the address has a path; the registry answers under /v2/ of the whole host, so remove it")
	}
	return nil
}

func checkFile(s string) error {
	switch {
	case s == "":
		return errors.New("the path is empty")
	case strings.HasPrefix(s, "~"):
		return errors.New(`"~" is not replaced; write ${env:HOME}`)
	case strings.ContainsFunc(s, isControl):
		return errors.New("the path holds a control character")
	}
	return nil
}

func checkRedis(s string) error {
	u, err := url.Parse(s)
	if err == nil {
		switch u.Scheme {
		case "redis", "rediss":
			if u.Hostname() != "" {
				return nil
			}
		case "unix":
			if u.Path != "" {
				return nil
			}
		}
	}
	return errors.New("the address must be redis://host:6379/0, rediss://… (TLS) or unix:///path/redis.sock")
}

// checkBuildKit knows the schemes of BuildKit's own client.
func checkBuildKit(s string) error {
	u, err := url.Parse(s)
	if err == nil && (u.Host != "" || u.Path != "") && slices.Contains([]string{
		"unix", "tcp", "ssh", "docker-container", "podman-container", "nerdctl-container", "kube-pod",
	}, u.Scheme) {
		return nil
	}
	return errors.New("the address must be like tcp://host:1234 or unix:///run/buildkit/buildkitd.sock")
}

func checkGlob(s string) error {
	if _, err := ParsePattern(s); err != nil { // which quotes the pattern
		return errors.New(`an entry is a name, a glob like "acme/*" or a regular expression between slashes, "/…/"; this one does not parse`)
	}
	return nil
}

// checkTarget reads an entry of triggers.allowHosts: hooks.example.com,
// *.example.com, 10.1.2.3 or 10.0.0.0/8.
func checkTarget(s string) error {
	if _, err := netip.ParsePrefix(s); err == nil {
		return nil
	}
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return nil
	}
	if !registryHost.MatchString(strings.ToLower(strings.TrimPrefix(s, "*."))) || strings.Contains(s, ":") {
		return errors.New("an entry is a host (hooks.example.com, *.example.com), an address or a network (10.0.0.0/8), without a port")
	}
	return nil
}

// checkRegistry reads host[:port][/prefix].
func checkRegistry(s string) error {
	host, prefix, slash := strings.Cut(s, "/")
	if err := checkHost(host); err != nil || strings.Contains(s, "://") {
		return errors.New(`a registry is written host[:port][/prefix], in lower case and without "https://"`)
	}
	if !strings.ContainsAny(host, ".:") && host != "localhost" {
		return errors.New(`the registry's host has neither a dot nor a port, so image names could not tell it from a path; write it with its port`)
	}
	if !slash {
		return nil
	}
	for p := range strings.SplitSeq(prefix, "/") {
		if !pathComponent.MatchString(p) {
			return fmt.Errorf("the prefix cannot be a part of a repository name: %s", pathComponentRule)
		}
	}
	return nil
}

var tokenHash = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// emptyHash is what sha256sum says when the token got lost on the way to it.
const emptyHash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func checkHash(s string) error {
	if s == emptyHash {
		return errors.New("the hash is that of an empty token, which everybody knows")
	}
	if !tokenHash.MatchString(s) { // never quoted: it may be the token itself
		return errors.New(`the hash is "sha256:" and the 64 small hexadecimal digits of the token's SHA-256: printf %s TOKEN | sha256sum`)
	}
	return nil
}
