package gitops

import (
	"context"
	"errors"
	"fmt"

	"github.com/registry-build/registry-build/builder/trigger"
)

// explain makes a sentence of what went wrong with the whole update, and says
// whether another attempt could help.
func (u *update) explain(ctx context.Context, err error) error {
	var no finalError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return trigger.Temporary(fmt.Errorf("%s was not updated in time: %w", u.t, context.Cause(ctx)), 0)
	case errors.As(err, &no):
		return no.error
	case said(err, "authentication failed", "could not read username", "invalid username or", "returned error: 401"):
		return fmt.Errorf("%s does not know us: %s; %s", u.t.name, orElse(told(err), "it asks for another login"), u.mend())
	case said(err, "returned error: 403", "write access to repository not granted", "permission denied"):
		return fmt.Errorf("we may not write to %s: %s; %s", u.t.name, orElse(told(err), "it answers 403"), u.mend())
	case said(err, "repository not found", "returned error: 404", "' not found"):
		return fmt.Errorf("there is no repository %s, or we are not let in; %s", u.t.name, u.mend())
	case said(err, "[remote rejected]"):
		if said(err, "try again") {
			return trigger.Temporary(fmt.Errorf("%s does not take the push now: %s", u.t, told(err)), 0)
		}
		return fmt.Errorf("%s does not take the push: %s; where the branch is protected, let us push to it or write pullRequest: true", u.t, orElse(told(err), "it names no reason"))
	case said(err, "redirect", "returned error: 30"):
		return fmt.Errorf("%s is somewhere else now, and a right is not sent on; write its new address", u.t.name)
	}
	var answer *gitError
	if errors.As(err, &answer) && answer.subcommand != "ls-remote" && answer.subcommand != "push" {
		u.c.discard() // perhaps the clone is broken
	}
	return trigger.Temporary(fmt.Errorf("%s cannot be updated: %w", u.t, err), 0)
}

func (u *update) mend() string {
	if u.t.forge == nil {
		return "look at credential " + u.t.credential
	}
	return "its forge must let us write contents"
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
