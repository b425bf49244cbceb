package builder

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/registry-build/registry-build/config"
)

// Deployer is a forge that shows where commits are rolled out to: what a
// Reporter may be able to do beside.
type Deployer interface {
	// Deploy shows the state of a deployment, and makes the deployment where
	// there is none yet. Showing the same thing twice must be harmless. A
	// Later asks to be called again.
	Deploy(ctx context.Context, d Deployment) error
}

// Deployment is what one trigger of one build rolls out to an environment.
type Deployment struct {
	Repository  Repository
	BuildID     string
	Trigger     string
	Environment string
	Commit      string
	State       DeploymentState
	Description string // one line, at most 140 characters
}

// DeploymentState is how far a deployment is.
type DeploymentState string

const (
	DeploymentInProgress DeploymentState = "in_progress"
	DeploymentSuccess    DeploymentState = "success"
	DeploymentFailure    DeploymentState = "failure"
)

// Runs is what Records may be able to do beside: read what triggers did.
type Runs interface {
	TriggerRuns(ctx context.Context, buildID string) ([]TriggerRun, error)
}

// deployment is what the trigger rolls out, and who shows it: nil where
// nobody does, or where there is nothing to roll out.
func (c *Courier) deployment(r Record, trigger string) (Deployer, Deployment) {
	to, ok := c.Reporters[r.Repository.Forge].(Deployer)
	i := slices.IndexFunc(r.Triggers, func(t config.Trigger) bool { return t.Name == trigger })
	if !ok || i < 0 || r.Triggers[i].Environment == "" || !r.State.Good() || r.Commit == "" {
		return nil, Deployment{}
	}
	return to, Deployment{
		Repository: r.Repository, BuildID: r.ID, Trigger: trigger, Environment: r.Triggers[i].Environment, Commit: r.Commit,
		State: DeploymentInProgress, Description: clip("trigger "+trigger+" of "+r.Image, maxDescription),
	}
}

// deployed is the deployment after the trigger's last attempt. Why it failed
// is in the trigger's record: deployments are shown to whoever sees the code.
func (d Deployment) deployed(run TriggerRun) Deployment {
	d.State = DeploymentSuccess
	if run.Error != "" {
		d.State = DeploymentFailure
		d.Description = clip(fmt.Sprintf("trigger %s failed after %s", d.Trigger, count(max(run.Attempts, 1), "attempt")), maxDescription)
	}
	return d
}

// fire makes one attempt at a trigger and shows the deployment that it is.
// Showing that it has begun can fail, the trigger fires all the same; showing
// how it ended is tried again until it is in.
func (c *Courier) fire(ctx context.Context, e *Effect) (again time.Duration, err error) {
	r, err := c.Records.Build(ctx, e.ID)
	if err != nil {
		return 0, err
	}
	to, d := c.deployment(r, e.Trigger)
	run, err := c.ended(ctx, e)
	if err != nil {
		return 0, err
	}
	if run == nil {
		if to != nil && e.Attempt <= 1 {
			if err := to.Deploy(ctx, d); err != nil {
				c.Log.Info("deployment not shown as begun", "build", r.ID, "trigger", e.Trigger, "err", err)
			}
		}
		fired := c.Triggers.Fire(ctx, Firing{Record: r, Trigger: e.Trigger, Before: run})
		if err := c.record(ctx, fired); err != nil || fired.Retry > 0 {
			return fired.Retry, err
		}
		run = &fired
	}
	if to == nil {
		return 0, nil
	}
	return 0, to.Deploy(ctx, d.deployed(*run))
}

// ended returns the run of a trigger that was recorded as over before: all
// that was left to do is to show it.
func (c *Courier) ended(ctx context.Context, e *Effect) (*TriggerRun, error) {
	runs, ok := c.Records.(Runs)
	if !ok || e.Attempt < 2 {
		return nil, nil
	}
	all, err := runs.TriggerRuns(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	for _, run := range all {
		if run.Trigger == e.Trigger && run.State != "waiting" {
			return &run, nil
		}
	}
	return nil, nil
}
