package github

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// Buttons of our check runs: identifiers of at most 20 characters.
const (
	buttonRebuild = "rebuild"
	buttonNoCache = "no-cache"
	buttonCancel  = "cancel"
)

type payloadCheck struct {
	HeadSHA    string `json:"head_sha"`
	ExternalID string `json:"external_id"` // of a run: the build, build/trigger, "" for the aggregate
	App        struct {
		ID int64 `json:"id"`
	} `json:"app"`
	PullRequests []struct {
		Number int         `json:"number"`
		Base   payloadSide `json:"base"`
	} `json:"pull_requests"`
}

// pull is the pull request that the check belongs to, 0 when it is none of
// this repository: GitHub also lists those by which a fork sends its commits
// to where it came from.
func (c payloadCheck) pull(repository int64) int {
	for _, p := range c.PullRequests {
		if p.Base.Repo != nil && p.Base.Repo.ID == repository {
			return p.Number
		}
	}
	return 0
}

// readCheckRun reads a button of a check run of ours, or GitHub's "re-run".
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#check_run
func readCheckRun(d delivery) ([]builder.Event, error) {
	var p struct {
		payload
		CheckRun  payloadCheck `json:"check_run"`
		Requested struct {
			Identifier string `json:"identifier"`
		} `json:"requested_action"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	if build, _, ok := strings.Cut(p.CheckRun.ExternalID, "/"); ok && builder.ValidBuildID(build) {
		return nil, d.ignore(p.Action, "the check of a trigger; its build's page tries it again")
	}
	c := builder.Command{BuildID: p.CheckRun.ExternalID}
	switch p.Action {
	case "requested_action":
		c.Source = builder.FromButton
		switch p.Requested.Identifier {
		case buttonRebuild:
			c.Name = builder.CommandRebuild
		case buttonNoCache:
			c.Name, c.NoCache = builder.CommandRebuild, true
		case buttonCancel:
			c.Name = builder.CommandCancel
		default:
			return nil, d.ignore(p.Action, "no button of ours")
		}
	case "rerequested":
		c.Source, c.Name = builder.FromRerun, builder.CommandRebuild
	default:
		return nil, d.ignore(p.Action, "")
	}
	return d.pressed(p.payload, p.CheckRun, c)
}

// readCheckSuite reads GitHub's "re-run all checks".
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#check_suite
func readCheckSuite(d delivery) ([]builder.Event, error) {
	var p struct {
		payload
		CheckSuite payloadCheck `json:"check_suite"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	if p.Action != "rerequested" {
		return nil, d.ignore(p.Action, "")
	}
	return d.pressed(p.payload, p.CheckSuite, builder.Command{Source: builder.FromRerun, Name: builder.CommandRebuild})
}

// pressed is the event of a command that nobody wrote.
func (d delivery) pressed(p payload, on payloadCheck, c builder.Command) ([]builder.Event, error) {
	identity, err := d.app.Identities.Identity(context.Background())
	if err != nil && !errors.Is(err, builder.ErrNotFound) {
		return nil, fmt.Errorf("identity of the GitHub App: %w", err)
	}
	if on.App.ID == 0 || on.App.ID != identity.ID {
		return nil, d.ignore(p.Action, "the check of another app")
	}
	repo, err := p.of()
	if err != nil {
		return nil, err
	}
	at, err := forge.ExistingCommit(on.HeadSHA)
	if err != nil {
		return nil, err
	}
	if c.BuildID != "" && !forge.Plain(c.BuildID, "", maxName) {
		return nil, forge.BrokenPayload("%s: external_id %.100q is no build", d.event, c.BuildID)
	}
	if p.Sender.Login == "" {
		return nil, forge.BrokenPayload("%s: it does not say who asks", d.event)
	}
	c.Pull = on.pull(p.Repository.ID)
	return []builder.Event{{
		ID: d.eventID(""), Kind: builder.Commanded, Repository: repo, Commit: at, Actor: p.Sender.Login, Command: &c,
	}}, nil
}
