package github

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
	"github.com/registry-build/registry-build/handlers/forge/quota"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

var _ builder.Deployer = (*App)(nil)

// deployed is what is known of a deployment.
type deployed struct {
	ID    int64                   `json:"id,omitempty"` // 0: it was being made
	State builder.DeploymentState `json:"state,omitempty"`
}

// rollout tells our deployments apart; it travels as their payload.
type rollout struct {
	Build   string `json:"registryBuild"`
	Trigger string `json:"trigger"`
}

// Deploy implements builder.Deployer: where the operator has switched it on,
// and the installation grants deployments: write.
// https://docs.github.com/rest/deployments
func (a *App) Deploy(ctx context.Context, d builder.Deployment) error {
	if !a.Config.Deployments {
		return nil
	}
	subject := "deployment/" + d.BuildID + "/" + d.Trigger
	release, err := a.ledger().Hold(ctx, subject)
	if err != nil {
		return err
	}
	defer release()
	ctx = quota.Urgent(ctx)
	err = a.deploy(ctx, "github:"+subject, d)
	if lacksPermission(err) {
		return nil
	}
	return a.ledger().Settle(ctx, d.Repository, subject, err)
}

func (a *App) deploy(ctx context.Context, key string, d builder.Deployment) error {
	var s deployed
	if _, err := a.ledger().Recall(ctx, key, &s); err != nil {
		return err
	}
	if s.State == d.State || s.State != "" && d.State == builder.DeploymentInProgress {
		return nil
	}
	client, err := a.client(ctx, d.Repository, need{"deployments": "write"})
	if err != nil {
		return err
	}
	if s.ID == 0 {
		if s.ID, err = a.makeDeployment(ctx, client, key, d); err != nil {
			return err
		}
		if err := a.ledger().Remember(ctx, key, s); err != nil {
			return err
		}
	}
	_, _, err = client.Repositories.CreateDeploymentStatus(repeatable(ctx), d.Repository.Owner, d.Repository.Name, s.ID, &github.DeploymentStatusRequest{
		State: github.String(string(d.State)), LogURL: github.String(a.BuildURL(d.BuildID)),
		Description: github.String(markdown.Clip(markdown.OneLine(d.Description), maxDescription)),
	})
	if err != nil {
		return fmt.Errorf("state of the deployment to %s: %w", d.Environment, err)
	}
	s.State = d.State
	return a.ledger().Remember(ctx, key, s)
}

// makeDeployment returns the deployment's id: of the one that was made before
// a crash, or a new one. GitHub is to merge nothing and to wait for nothing:
// the image is built, and the trigger fires now.
func (a *App) makeDeployment(ctx context.Context, client *github.Client, key string, d builder.Deployment) (int64, error) {
	repo, us := d.Repository, rollout{d.BuildID, d.Trigger}
	first, err := a.Memory.Claim(ctx, key, "{}", telling.Keep)
	if err != nil {
		return 0, err
	}
	if !first {
		found, _, err := client.Repositories.ListDeployments(ctx, repo.Owner, repo.Name,
			&github.DeploymentsListOptions{SHA: d.Commit, Environment: d.Environment, ListOptions: github.ListOptions{PerPage: 100}})
		if err != nil {
			return 0, fmt.Errorf("deployments to %s: %w", d.Environment, err)
		}
		for _, f := range found {
			if madeBy(f) == us {
				return f.GetID(), nil
			}
		}
	}
	made, _, err := client.Repositories.CreateDeployment(ctx, repo.Owner, repo.Name, &github.DeploymentRequest{
		Ref: github.String(d.Commit), Environment: github.String(d.Environment), Description: github.String(markdown.Clip(markdown.OneLine(d.Description), maxDescription)),
		AutoMerge: github.Bool(false), RequiredContexts: &[]string{}, Payload: us,
	})
	if err != nil {
		return 0, fmt.Errorf("deployment to %s: %w", d.Environment, err)
	}
	return made.GetID(), nil
}

// madeBy reads who made a deployment. GitHub gives it back as JSON, or as a
// text that holds it.
func madeBy(d *github.Deployment) rollout {
	text := []byte(d.Payload)
	var inner string
	if json.Unmarshal(text, &inner) == nil {
		text = []byte(inner)
	}
	var o rollout
	if json.Unmarshal(text, &o) != nil {
		return rollout{}
	}
	return o
}
