package gitlabtest

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// Project is a project of the double, whatever it is called now.
type Project struct {
	s             *Server
	id            int64
	space         *namespace
	name, path    string
	visibility    string
	fork          *Project // what this is a fork of
	defaultBranch string
	archived      bool
	removed       bool
	dir           gitserver.Repo
	created       time.Time
	active        time.Time // last activity
	members       []*member
	protected     map[string]bool // branch
	hooks         []*hook
	commits       map[string]gitserver.Commit
	pushing       sync.Mutex // one push after another; taken before the server's lock

	projectReview
}

// ProjectOptions say how a project begins.
type ProjectOptions struct {
	Visibility    string // private, internal or public; default private
	DefaultBranch string // default main
	// Files make the first commit; nil leaves the repository empty. No webhook
	// tells of it.
	Files map[string]string
}

// hiddenRefs are GitLab's own: pushes cannot move them.
const hiddenRefs = "refs/merge-requests"

// AddProject makes a project of a full path. Groups that are not there yet are
// made; a username at the beginning makes it a personal project.
func (s *Server) AddProject(fullPath string, o ProjectOptions) (*Project, error) {
	s.mu.Lock()
	defer s.unlock()
	p, err := s.newProject(fullPath, o)
	if err != nil {
		return nil, err
	}
	if o.Files == nil {
		return p, nil
	}
	sha, err := p.dir.Commit("", "Initial commit", contents(o.Files), s.who(s.person("")))
	if err == nil {
		_, err = p.dir.Run("update-ref", "refs/heads/"+p.defaultBranch, sha)
	}
	if err != nil {
		return nil, fmt.Errorf("first commit of %s: %w", fullPath, err)
	}
	return p, nil
}

func (s *Server) newProject(fullPath string, o ProjectOptions) (*Project, error) {
	i := strings.LastIndex(fullPath, "/")
	if i < 0 || i == len(fullPath)-1 || strings.Contains(fullPath, " ") {
		return nil, fmt.Errorf("project %q: write GROUP/PROJECT or GROUP/SUBGROUP/PROJECT", fullPath)
	}
	if s.taken(fullPath) != nil {
		return nil, fmt.Errorf("project %s: path has already been taken", fullPath)
	}
	space, err := s.space(fullPath[:i])
	if err != nil {
		return nil, err
	}
	if o.Visibility == "" {
		o.Visibility = "private"
	}
	if o.DefaultBranch == "" {
		o.DefaultBranch = "main"
	}
	path := fullPath[i+1:]
	p := &Project{
		s: s, id: s.id(), space: space, name: path, path: path, visibility: o.Visibility, defaultBranch: o.DefaultBranch,
		created: s.now(), active: s.now(), protected: map[string]bool{o.DefaultBranch: true}, commits: map[string]gitserver.Commit{},
	}
	p.dir = gitserver.Repo(filepath.Join(s.opts.Dir, fmt.Sprintf("%d.git", p.id)))
	s.projects[p.id], s.names[strings.ToLower(fullPath)] = p, p.id // who takes an old path ends its redirect
	err = p.dir.Init(o.DefaultBranch, hiddenRefs)
	if err == nil {
		err = p.guard()
	}
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", fullPath, err)
	}
	return p, nil
}

// taken finds the project that has the path now.
func (s *Server) taken(fullPath string) *Project {
	p := s.projects[s.names[strings.ToLower(fullPath)]]
	if p == nil || !strings.EqualFold(p.fullPath(), fullPath) {
		return nil
	}
	return p
}

// Project finds a project by its full path now.
func (s *Server) Project(fullPath string) (*Project, error) {
	s.mu.Lock()
	defer s.unlock()
	if p := s.taken(fullPath); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("there is no project %s", fullPath)
}

// Fork makes a fork in a person's or group's namespace, with all branches and
// tags.
func (p *Project) Fork(namespace string) (*Project, error) {
	s := p.s
	s.mu.Lock()
	defer s.unlock()
	if s.findSpace(namespace) == nil {
		s.person(namespace)
	}
	f, err := s.newProject(namespace+"/"+p.path, ProjectOptions{Visibility: p.visibility, DefaultBranch: p.defaultBranch})
	if err != nil {
		return nil, err
	}
	f.fork = p
	_, err = f.dir.Run("fetch", "-q", string(p.dir), "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	return f, err
}

// ID is GitLab's number, which outlives every path.
func (p *Project) ID() int64 { return p.id }

// FullPath is GROUP/SUBGROUP/PROJECT now.
func (p *Project) FullPath() string {
	p.s.mu.Lock()
	defer p.s.unlock()
	return p.fullPath()
}

func (p *Project) fullPath() string { return p.space.fullPath() + "/" + p.path }
func (p *Project) web() string      { return p.s.URL + "/" + p.fullPath() }
func (p *Project) api() string      { return fmt.Sprintf("%s/projects/%d", p.s.API, p.id) }

// CloneURL is the git remote, without credentials.
func (p *Project) CloneURL() string { return p.s.URL + "/" + p.FullPath() + ".git" }

// PushURL is the git remote with a person's name and access token in it.
func (p *Project) PushURL(username string) string {
	u, err := url.Parse(p.CloneURL())
	if err != nil {
		return ""
	}
	u.User = url.UserPassword(username, p.s.AddUser(username))
	return u.String()
}

// Dir is the bare repository on disk.
func (p *Project) Dir() string { return string(p.dir) }

// SetVisibility is private, internal or public.
func (p *Project) SetVisibility(visibility string) {
	p.s.mu.Lock()
	defer p.s.unlock()
	p.visibility = visibility
}

// Archive makes the project read-only, or ends that.
func (p *Project) Archive(on bool) {
	p.s.mu.Lock()
	defer p.s.unlock()
	p.archived = on
}

// SetDefaultBranch changes the default branch, and protects it.
func (p *Project) SetDefaultBranch(branch string) error {
	p.s.mu.Lock()
	defer p.s.unlock()
	p.defaultBranch, p.protected[branch] = branch, true
	_, err := p.dir.Run("symbolic-ref", "HEAD", "refs/heads/"+branch)
	return err
}

// Rename gives the project another path; the old one redirects until somebody
// takes it.
func (p *Project) Rename(path string) error {
	p.s.mu.Lock()
	defer p.s.unlock()
	return p.move(p.space, path, "project_rename")
}

// Transfer moves the project to another namespace; the old path redirects.
func (p *Project) Transfer(namespace string) error {
	p.s.mu.Lock()
	defer p.s.unlock()
	space, err := p.s.space(namespace)
	if err != nil {
		return err
	}
	return p.move(space, p.path, "project_transfer")
}

func (p *Project) move(space *namespace, path, event string) error {
	to := space.fullPath() + "/" + path
	if other := p.s.taken(to); other != nil && other != p {
		return fmt.Errorf("move %s: %s has already been taken", p.fullPath(), to)
	}
	if p.removed {
		return errors.New("the project is deleted")
	}
	old := p.fullPath()
	p.space, p.path, p.name = space, path, path
	p.s.names[strings.ToLower(to)] = p.id
	p.s.tellSystem(event, p, object{"old_path_with_namespace": old})
	return nil
}

// Remove deletes the project. Merge requests from it are closed, and have no
// source any more.
func (p *Project) Remove() {
	p.s.mu.Lock()
	defer p.s.unlock()
	for _, into := range p.s.all() {
		for _, m := range into.merges {
			if m.from == p && into != p {
				_ = m.close(p.s.person("")) // refused where it is not open
				m.from = nil
			}
		}
	}
	p.s.tellSystem("project_destroy", p, nil)
	p.removed = true
	delete(p.s.projects, p.id)
}

// all lists the projects by number.
func (s *Server) all() []*Project {
	var list []*Project
	for _, p := range s.projects {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *Project) int { return int(a.id - b.id) })
	return list
}

// contents turns what a person writes into what git is given: every file is there.
func contents(files map[string]string) map[string]*string {
	out := map[string]*string{}
	for path, text := range files {
		out[path] = &text
	}
	return out
}

func (s *Server) who(u *user) []string { return gitserver.Who(u.name, u.email(), s.now().Unix()) }
