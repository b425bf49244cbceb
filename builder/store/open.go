package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
)

// Open returns a client for an address: redis://, rediss:// or unix:// for
// one server, redis+cluster:// (or rediss+cluster://) for a cluster with more
// nodes as ?addr=HOST:PORT, redis+sentinel://HOST:PORT?master_name=NAME behind
// Sentinel. A bare path is a unix socket. Nothing is dialled yet.
//
// The client gives up early, so that a dead server costs a caller well under
// a second and a person hears about it.
func Open(address string) (redis.UniversalClient, error) {
	if strings.HasPrefix(address, "/") {
		address = "unix://" + address
	}
	scheme, rest, _ := strings.Cut(address, "://")
	base, kind, _ := strings.Cut(scheme, "+")
	switch kind {
	case "":
		o, err := redis.ParseURL(address)
		if err != nil {
			return nil, badAddress(err)
		}
		o.DialTimeout, o.DialerRetries, o.DialerRetryTimeout = dialTimeout, 1, retryWait
		o.MaxRetries, o.ContextTimeoutEnabled = 1, true
		return redis.NewClient(o), nil
	case "cluster":
		o, err := redis.ParseClusterURL(base + "://" + rest)
		if err != nil {
			return nil, badAddress(err)
		}
		o.DialTimeout, o.DialerRetries, o.DialerRetryTimeout = dialTimeout, 1, retryWait
		o.ContextTimeoutEnabled = true
		return redis.NewClusterClient(o), nil
	case "sentinel":
		o, err := redis.ParseFailoverURL(base + "://" + rest)
		if err != nil {
			return nil, badAddress(err)
		}
		o.DialTimeout, o.DialerRetries, o.DialerRetryTimeout = dialTimeout, 1, retryWait
		o.MaxRetries, o.ContextTimeoutEnabled = 1, true
		return redis.NewFailoverClient(o), nil
	}
	return nil, badAddress(fmt.Errorf("unknown scheme %q", scheme))
}

const (
	dialTimeout = 500 * time.Millisecond
	retryWait   = 20 * time.Millisecond
)

// badAddress leaves the address out: it may hold a password.
func badAddress(err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	return fmt.Errorf("redis address: %w; write redis://HOST:PORT/0 or unix:///PATH", err)
}

// classify turns a client's error into one that callers branch on: a server
// that cannot be reached, or that refuses all work, is builder.ErrUnavailable.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, redis.Nil) {
		return builder.ErrNotFound
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var answer redis.Error
	if errors.As(err, &answer) && !refusesWork(answer.Error()) {
		return err
	}
	return fmt.Errorf("%w: %w", builder.ErrUnavailable, err)
}

// refusesWork reports whether an error reply is about the state of the server
// and not about the command.
func refusesWork(message string) bool {
	code, _, _ := strings.Cut(message, " ")
	switch code {
	case "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM", "MISCONF", "BUSY", "NOREPLICAS", "NOAUTH", "WRONGPASS":
		return true
	}
	return false
}
