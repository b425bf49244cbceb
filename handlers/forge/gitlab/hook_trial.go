package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// probeKeeps is how long we know that a webhook was left with the token of
	// a trial, where a crash came in between.
	probeKeeps = 7 * 24 * time.Hour
	// probeLasts is longer than a trial takes: GitLab waits ten seconds for an
	// answer.
	probeLasts = 2 * time.Minute
	// repairLimit is for what is put right after the operator has left.
	repairLimit = 20 * time.Second
)

// trial is what came of a test delivery.
type trial struct {
	OK       bool
	Untested string // why GitLab delivered nothing
	Status   string // that GitLab got, "502"; "" where it knows none
	Message  string // what it got, or what went wrong
}

// probing is where a trial is noted that is under way.
func (f *Forge) probing(p place, id int) string {
	return f.ledger.Key(fmt.Sprintf("probing/%s-%d/%d", p.Kind, p.ID, id))
}

// try has GitLab make a test delivery. What such a delivery tells looks like a
// push, so the webhook has a token meanwhile that starts nothing, and the real
// one again when try returns, also when ctx has ended. A webhook that GitLab
// switched off is on again when the trial goes well.
// https://docs.gitlab.com/api/project_webhooks/#trigger-a-test-project-webhook
func (f *Forge) try(ctx context.Context, p place, id int) (t trial, err error) {
	mark := f.probing(p, id)
	if err := f.Memory.Remember(ctx, mark, f.Now().UTC().Format(time.RFC3339), probeKeeps); err != nil {
		return trial{}, err
	}
	if _, err := f.saveHook(ctx, p, id, true); err != nil {
		return trial{}, err
	}
	defer func() {
		after, done := context.WithTimeout(context.WithoutCancel(ctx), repairLimit)
		defer done()
		if end := f.endTrial(after, p, id); end != nil && err == nil {
			err = end // else the mark stays, and Run mends it
		}
	}()
	return f.test(ctx, p, id)
}

// endTrial gives a webhook its real token again.
func (f *Forge) endTrial(ctx context.Context, p place, id int) error {
	if _, err := f.saveHook(ctx, p, id, false); err != nil {
		return err
	}
	return f.Memory.Remember(ctx, f.probing(p, id), "", time.Millisecond)
}

// test makes the test delivery. GitLab answers when it has been answered.
func (f *Forge) test(ctx context.Context, p place, id int) (trial, error) {
	err := f.call(once(ctx), http.MethodPost, fmt.Sprintf("%s/hooks/%d/test/push_events", p.api(), id), nil, nil)
	switch answeredWith(err) {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return trial{Untested: "GitLab before 16.11 makes no test deliveries by its API"}, nil
	case http.StatusUnprocessableEntity:
	default:
		if err != nil {
			return trial{}, fmt.Errorf("try the webhook of %s: %w", p.Path, err)
		}
		return trial{OK: true}, nil
	}
	said := words(err)
	if need, ok := strings.CutPrefix(said, "Ensure the "); ok { // … project has at least one commit.
		return trial{Untested: "GitLab has nothing to try it with: the " + strings.TrimSuffix(need, ".") + " first"}, nil
	}
	t := trial{Message: said}
	// The answer does not have the status; the log does, at once after a test.
	if list, _, err := f.log(ctx, p, id, 1); err == nil && len(list) > 0 && !list[0].ok() {
		t.Status = list[0].status()
		// It must not be delivered again, with the real token.
		_, err := f.Memory.Claim(ctx, f.resending(list[0]), "trial", resendKept)
		return t, err
	}
	return t, nil
}

// what is the failure of a trial in words.
func (t trial) what(address string) string {
	message := strings.Join(strings.Fields(t.Message), " ")
	if len(message) > 200 {
		message = strings.ToValidUTF8(message[:200], "") + "…"
	}
	switch {
	case len(t.Status) == 3 && message != "":
		return fmt.Sprintf("GitLab delivered to %s and was answered %s: %s", address, statusText(t.Status), message)
	case len(t.Status) == 3:
		return fmt.Sprintf("GitLab delivered to %s and was answered %s", address, statusText(t.Status))
	case message == "":
		return fmt.Sprintf("GitLab could not deliver to %s, and does not say why", address)
	}
	return fmt.Sprintf("GitLab could not deliver to %s: %s", address, message)
}

// mend says what to do about a failed trial. The words are those of GitLab and
// of what it is made of: OpenSSL, Ruby's Net::HTTP.
func (f *Forge) mend(t trial) string {
	message := strings.ToLower(t.Message)
	has := func(texts ...string) bool {
		for _, text := range texts {
			if strings.Contains(message, text) {
				return true
			}
		}
		return false
	}
	const poll = "; or let us ask instead: events: poll in the server file"
	switch {
	case has("local network", "localhost", "is blocked", "invalid url", "outbound request"):
		return "an administrator of GitLab allows it under Admin > Settings > Network > Outbound requests (the address of registry-build in the list of allowed ones)" + poll
	case has("ssl", "certificate"):
		return "GitLab does not trust our certificate: take one of a public authority, or have GitLab's administrator add yours to its trusted ones" + poll
	case has("is configured here"): // said by registry-build
		return "start the server again: it was started with a server file that does not name this GitLab server"
	case t.Status == "401" || t.Status == "403":
		return "see whether the address leads to this server and not to another registry-build, and what stands in front of it: nothing there may ask for a login"
	case len(t.Status) == 3:
		return "see whether the address (url: in the server file) leads to this server, through the proxy that stands in front of it"
	}
	return "let GitLab reach the address: name, firewall, proxy" + poll
}

// statusText is a status with its name.
func statusText(status string) string {
	code, err := strconv.Atoi(status)
	if name := http.StatusText(code); err == nil && name != "" {
		return status + " " + name
	}
	return status
}
