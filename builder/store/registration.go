package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
)

var _ builder.Registrations = (*Store)(nil)

// Registrations implements builder.Registrations.
func (s *Store) Registrations(ctx context.Context, destination string) ([]builder.Registration, error) {
	images := s.images(destination)
	texts, err := s.client.HVals(ctx, registeredKey(images)).Result()
	if err != nil {
		return nil, fmt.Errorf("registrations of %s: %w", images, classify(ctx, err))
	}
	all := make([]builder.Registration, len(texts))
	for i, text := range texts {
		if err := decode(text, &all[i]); err != nil {
			return nil, fmt.Errorf("registrations of %s: %w", images, err)
		}
	}
	slices.SortFunc(all, func(a, b builder.Registration) int {
		if a, b := holds(a, images), holds(b, images); a != b {
			if a {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Repository.Key(), b.Repository.Key())
	})
	return all, nil
}

// holds reports whether the image repository is one of the source
// repository's own: called like it, or below that.
func holds(r builder.Registration, images string) bool {
	return slices.ContainsFunc(r.Names, func(name string) bool {
		return name != r.Repository.Key() && strings.Contains("/"+images+"/", "/"+strings.ToLower(name)+"/")
	})
}

// Pushed implements builder.Registrations.
func (s *Store) Pushed(ctx context.Context, destination, tag string) (digest string, err error) {
	images := s.images(destination)
	digest, err = s.client.HGet(ctx, pushedKey(images), tag).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("what %s:%s names: %w", images, tag, classify(ctx, err))
	}
	return digest, nil
}

// images is the one name under which pushes to an image repository are known:
// without host in the embedded registry, which may move, and for Docker Hub as
// people write it.
func (s *Store) images(repository string) string {
	if s.opts.Host != "" {
		if name, ours := strings.CutPrefix(repository, s.opts.Host+"/"); ours {
			return name
		}
	}
	if name, hub := strings.CutPrefix(repository, "index.docker.io/"); hub {
		return "docker.io/" + name
	}
	return repository
}

// resultOfPush names the only result that the record of a push ever has.
const resultOfPush = "pushed"

// pushChanges adds what a decision says about images that people push
// themselves, and writes the details of its records.
func (s *Store) pushChanges(ctx context.Context, l *builder.EventLease, d builder.Decision, c *changes) error {
	if k := d.Known; k != nil {
		c.Known = knownTag{Images: s.images(k.Destination), Tag: k.Tag, Digest: k.Digest, Was: k.Was}
	}
	for _, r := range d.Registered {
		text, err := encode(r)
		if err != nil {
			return err
		}
		c.Registered = append(c.Registered, registered{Images: s.images(r.Destination), Text: text})
	}
	for _, p := range d.Pushes {
		r := p.Record
		if r.ID == "" || !r.State.Terminal() {
			return fmt.Errorf("push %q of image %s: no id, or not ended: %s", r.ID, r.Image, r.State)
		}
		if err := s.writePlan(ctx, l, r.Build); err != nil {
			return err
		}
		if err := s.writePushResult(ctx, l, r); err != nil {
			return err
		}
		c.Pushes = append(c.Pushes, pushedBuild{
			queuedBuild: newQueuedBuild(r.Build, l.Event.ID, r.Repository.Key()),
			State:       string(r.State), Result: resultOfPush, Fire: append([]string{}, p.Fire...),
		})
	}
	return nil
}

func (s *Store) writePushResult(ctx context.Context, l *builder.EventLease, record builder.Record) error {
	text, err := encode(record.Result)
	if err != nil {
		return err
	}
	r, err := runOn(ctx, s.client, s.scripts.detail, []string{detailKey(record.ID)},
		"decision", l.Attempt, "result:"+resultOfPush, text, ms(s.detailsStay()))
	if err == nil && r.number(0) == 0 {
		err = builder.ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("push %s: %w", record.ID, err)
	}
	return nil
}
