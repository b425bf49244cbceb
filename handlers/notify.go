package handlers

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// registryLabel stands for registries where deliveries are counted by forge.
const registryLabel = "registry"

// notify takes what a registry tells of pushes, as distribution and Harbor do.
func (in *intake) notify(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	outcome, accepted, err := in.hear(w, r)
	outcome, err = accept(w, outcome, accepted, err)
	in.metrics.count(registryLabel, registryLabel, outcome, time.Since(began))
	return err
}

// hear is take for registries: who tells is known before the body is read. An
// envelope of several pushes that breaks off in the middle is refused, and
// those that were appended are duplicates when it comes again. What the token
// does not reach is passed over and not refused: distribution sends an event
// that is refused again for ever, and holds all others back behind it.
func (in *intake) hear(w http.ResponseWriter, r *http.Request) (outcome, Accepted, error) {
	c := in.Access.Caller(r)
	switch {
	case in.Registrations == nil:
		return "", Accepted{}, refuse(http.StatusNotFound, "pushes to other registries set nothing off here")
	case c == nil:
		return "", Accepted{}, refuse(http.StatusUnauthorized, "a token with the scope registry:notify is needed: Authorization: Bearer TOKEN")
	case !c.MayNotify(""):
		return "", Accepted{}, refuse(http.StatusForbidden, "token %s has no scope registry:notify", c.Name())
	}
	body, err := readBody(w, r, maxRequestBody, hookLimit)
	if err != nil {
		return "", Accepted{}, err
	}
	pushes, ignored, err := readNotification(body)
	if err != nil {
		return "", Accepted{}, err
	}
	var accepted Accepted
	outcome := outcomeDuplicate
	for _, p := range pushes {
		if !c.MayNotify(p.image) {
			in.Log.Warn("push not taken", "token", c.Name(), "image", p.image)
			ignored = append(ignored, "token "+c.Name()+" may not tell of "+p.image)
			continue
		}
		e, err := builder.PushEvent(r.Context(), in.Registrations, p.id, in.imagePush(p), p.actor)
		if err != nil {
			return "", Accepted{}, err
		}
		receipt, err := in.Events.Append(r.Context(), e)
		if err != nil {
			return "", Accepted{}, err
		}
		if !receipt.Duplicate {
			outcome = outcomeAccepted
		}
		accepted.Events = append(accepted.Events, e.ID)
	}
	accepted.Ignored = reasons(ignored)
	if len(accepted.Events) == 0 {
		outcome = outcomeIgnored
	}
	return outcome, accepted, nil
}

// imagePush names images of the embedded registry without host.
func (in *intake) imagePush(p pushNotice) builder.ImagePush {
	image := p.image
	if host := in.Registry(); host != "" {
		image = strings.TrimPrefix(image, host+"/")
	}
	return builder.ImagePush{Destination: image, Tag: p.tag, Digest: p.digest}
}

// mostReasons is how many reasons one answer gives.
const mostReasons = 5

// reasons joins what was told more than once.
func reasons(all []string) string {
	var once []string
	for _, reason := range all {
		if !slices.Contains(once, reason) {
			once = append(once, reason)
		}
	}
	if len(once) > mostReasons {
		once = append(once[:mostReasons], "and more")
	}
	return strings.Join(once, "; ")
}
