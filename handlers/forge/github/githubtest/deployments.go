package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// Deployment is a deployment with its statuses, oldest first.
type Deployment struct {
	ID                                       int64
	SHA, Ref, Task, Environment, Description string
	Statuses                                 []DeploymentStatus
}

// DeploymentStatus is one state of a deployment.
type DeploymentStatus struct {
	ID                                                int64
	State, Description, LogURL, EnvironmentURL, Actor string
	by                                                *account
	at                                                time.Time
}

type deployment struct {
	Deployment
	payload any
	by      *account
	at      time.Time
}

// Deployments lists the deployments, oldest first.
func (r *Repo) Deployments() []Deployment {
	r.s.mu.Lock()
	defer r.s.unlock()
	var out []Deployment
	for _, d := range r.deployments {
		one := d.Deployment
		one.Statuses = slices.Clone(d.Statuses)
		out = append(out, one)
	}
	return out
}

// createDeployment: https://docs.github.com/rest/deployments/deployments#create-a-deployment
func (s *Server) createDeployment(c *call) (answer, error) {
	in := struct {
		Ref              *string
		Task             string
		AutoMerge        *bool     `json:"auto_merge"`
		RequiredContexts *[]string `json:"required_contexts"`
		Payload          any
		Environment      string
		Description      *string
	}{Task: "deploy", Environment: "production", Payload: object{}}
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if in.Ref == nil {
		return answer{}, invalid("\"ref\" wasn't supplied.")
	}
	sha := c.repo.dir.Resolve(*in.Ref)
	if sha == "" {
		return answer{}, &apiError{status: http.StatusUnprocessableEntity, message: "No ref found for: " + *in.Ref}
	}
	if missing := c.notGreen(sha, in.RequiredContexts); missing != "" {
		return answer{}, &apiError{status: http.StatusConflict, message: "Conflict: Commit status checks failed for " + *in.Ref + ".",
			errors: []any{object{"resource": "Deployment", "field": "required_contexts", "code": "invalid", "message": missing}}}
	}
	if in.AutoMerge == nil || *in.AutoMerge {
		if tip := c.repo.dir.Resolve("refs/heads/" + c.repo.defaultBranch); tip != "" && tip != sha {
			if _, err := c.repo.dir.Run("merge-base", "--is-ancestor", tip, sha); err != nil {
				return answer{status: http.StatusAccepted, body: object{"message": "Auto-merged " + c.repo.defaultBranch + " into " + *in.Ref + " on deployment."}}, nil
			}
		}
	}
	d := &deployment{by: s.actor(c.tok), at: s.now(), payload: in.Payload, Deployment: Deployment{
		ID: s.id(), SHA: sha, Ref: *in.Ref, Task: in.Task, Environment: in.Environment,
	}}
	if in.Description != nil {
		d.Description = *in.Description
	}
	c.repo.deployments = append(c.repo.deployments, d)
	s.emit(c.repo, "deployment", d.by, object{"action": "created", "deployment": d.json(c.repo)})
	return created(d.json(c.repo))
}

// notGreen names a context or check that stands in the deployment's way. By
// default every one there is must have succeeded.
func (c *call) notGreen(sha string, required *[]string) string {
	newest := map[string]string{}
	for _, st := range c.repo.statuses {
		if st.SHA == sha {
			newest[st.Context] = st.State
		}
	}
	for _, k := range c.repo.checks {
		if k.SHA == sha {
			newest[k.Name] = map[string]string{"neutral": "success", "skipped": "success", "success": "success"}[k.Conclusion]
		}
	}
	if required != nil {
		for _, name := range *required {
			if newest[name] != "success" {
				return name
			}
		}
		return ""
	}
	for _, name := range sorted(newest) {
		if newest[name] != "success" {
			return name
		}
	}
	return ""
}

func (d *deployment) json(r *Repo) object {
	url := fmt.Sprintf("%s/deployments/%d", r.api(), d.ID)
	return object{
		"url": url, "id": d.ID, "node_id": nodeID("Deployment", d.ID), "sha": d.SHA, "ref": d.Ref, "task": d.Task, "payload": d.payload,
		"original_environment": d.Environment, "environment": d.Environment, "description": orNull(d.Description), "creator": r.s.userJSON(d.by),
		"created_at": stamp(d.at), "updated_at": stamp(d.at), "statuses_url": url + "/statuses", "repository_url": r.api(),
		"transient_environment": false, "production_environment": d.Environment == "production",
	}
}

func (c *call) deployment() (*deployment, error) {
	for _, d := range c.repo.deployments {
		if d.ID == c.number("deployment_id") {
			return d, nil
		}
	}
	return nil, errNotFound
}

func (s *Server) listDeployments(c *call) (answer, error) {
	list := []any{}
	for _, d := range slices.Backward(c.repo.deployments) {
		if (c.query("sha") == "" || c.query("sha") == d.SHA) && (c.query("ref") == "" || c.query("ref") == d.Ref) &&
			(c.query("environment") == "" || c.query("environment") == d.Environment) {
			list = append(list, d.json(c.repo))
		}
	}
	return c.page(list)
}

func (s *Server) getDeployment(c *call) (answer, error) {
	d, err := c.deployment()
	if err != nil {
		return answer{}, err
	}
	return ok(d.json(c.repo))
}

func (s *Server) createDeploymentStatus(c *call) (answer, error) {
	d, err := c.deployment()
	if err != nil {
		return answer{}, err
	}
	var in struct {
		State, Description string
		LogURL             string `json:"log_url"`
		TargetURL          string `json:"target_url"`
		EnvironmentURL     string `json:"environment_url"`
		AutoInactive       *bool  `json:"auto_inactive"`
	}
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if !slices.Contains([]string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}, in.State) {
		return answer{}, invalid("%s is not a member of the states.", in.State)
	}
	if utf8.RuneCountInString(in.Description) > 140 {
		return answer{}, unprocessable("DeploymentStatus", "description", "description is too long (maximum is 140 characters)")
	}
	if in.LogURL == "" {
		in.LogURL = in.TargetURL
	}
	st := DeploymentStatus{ID: s.id(), State: in.State, Description: in.Description, LogURL: in.LogURL, EnvironmentURL: in.EnvironmentURL, by: s.actor(c.tok), at: s.now()}
	st.Actor = st.by.login
	d.Statuses = append(d.Statuses, st)
	if in.State == "success" && (in.AutoInactive == nil || *in.AutoInactive) {
		for _, o := range c.repo.deployments {
			if n := len(o.Statuses); o != d && o.Environment == d.Environment && n > 0 && o.Statuses[n-1].State == "success" {
				o.Statuses = append(o.Statuses, DeploymentStatus{ID: s.id(), State: "inactive", by: st.by, at: s.now(), Actor: st.Actor})
			}
		}
	}
	return created(st.json(c.repo, d))
}

func (st DeploymentStatus) json(r *Repo, d *deployment) object {
	url := fmt.Sprintf("%s/deployments/%d", r.api(), d.ID)
	return object{
		"url": fmt.Sprintf("%s/statuses/%d", url, st.ID), "id": st.ID, "node_id": nodeID("DeploymentStatus", st.ID), "state": st.State,
		"creator": r.s.userJSON(st.by), "description": st.Description, "environment": d.Environment, "target_url": st.LogURL, "log_url": st.LogURL,
		"environment_url": st.EnvironmentURL, "created_at": stamp(st.at), "updated_at": stamp(st.at), "deployment_url": url, "repository_url": r.api(),
	}
}

func (s *Server) listDeploymentStatuses(c *call) (answer, error) {
	d, err := c.deployment()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, st := range slices.Backward(d.Statuses) {
		list = append(list, st.json(c.repo, d))
	}
	return c.page(list)
}
