package builder

import "context"

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
	DeploymentInactive   DeploymentState = "inactive" // a newer one went first
)

// deployment is what the trigger rolls out, and who shows it: nil where
// nobody does, or where there is nothing to roll out.
func (c *Courier) deployment(r Record, trigger string) (Deployer, Deployment) {
	to, ok := c.Reporters[r.Repository.Forge].(Deployer)
	t, known := triggerOf(r, trigger)
	if !ok || !known || t.Environment == "" || !r.State.Good() || r.Commit == "" {
		return nil, Deployment{}
	}
	return to, Deployment{
		Repository: r.Repository, BuildID: r.ID, Trigger: trigger, Environment: t.Environment, Commit: r.Commit,
		State: DeploymentInProgress, Description: clip("trigger "+trigger+" of "+r.Image, maxDescription),
	}
}

// deployed is the deployment at that point of the trigger's run.
func (d Deployment) deployed(run TriggerRun) Deployment {
	switch run.State {
	case RunSucceeded:
		d.State = DeploymentSuccess
	case RunFailed:
		d.State, d.Description = DeploymentFailure, DescribeRun(run)
	case RunSkipped:
		d.State, d.Description = DeploymentInactive, DescribeRun(run)
	}
	return d
}
