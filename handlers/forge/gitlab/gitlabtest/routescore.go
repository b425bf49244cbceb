package gitlabtest

import "maps"

// routesCore are the operations of accounts, projects, repositories and
// webhooks.
func routesCore() map[string]route {
	reader, anyScope, files := []string{"read_user"}, []string{"*"}, []string{"read_repository"}
	all := map[string]route{
		"GET /version":                     {who: asUser, handle: (*Server).getVersion, scopes: reader},
		"GET /metadata":                    {who: asUser, handle: (*Server).getVersion, scopes: reader},
		"GET /user":                        {who: asUser, handle: (*Server).getUser, scopes: reader},
		"GET /users":                       {who: asUser, handle: (*Server).listUsers, scopes: reader},
		"GET /users/{user_id}":             {who: asUser, handle: (*Server).oneUser, scopes: reader},
		"GET /personal_access_tokens/self": {who: asUser, handle: (*Server).getToken, scopes: anyScope},

		"GET /groups":                            {who: asUser, handle: (*Server).listGroups},
		"GET /groups/{id}":                       {who: onGroup, handle: (*Server).getGroup},
		"GET /groups/{id}/projects":              {who: onGroup, handle: (*Server).groupProjects},
		"GET /groups/{id}/members":               {who: onGroup, handle: (*Server).listMembers},
		"GET /groups/{id}/members/all":           {who: onGroup, handle: (*Server).listMembers},
		"GET /groups/{id}/members/{user_id}":     {who: onGroup, handle: (*Server).oneMember},
		"GET /groups/{id}/members/all/{user_id}": {who: onGroup, handle: (*Server).oneMember},

		"GET /projects":                            {who: anyone, handle: (*Server).listProjects},
		"GET /projects/{id}":                       {who: onProject, handle: (*Server).getProject},
		"GET /projects/{id}/members":               {who: onProject, handle: (*Server).listMembers},
		"GET /projects/{id}/members/all":           {who: onProject, handle: (*Server).listMembers},
		"GET /projects/{id}/members/{user_id}":     {who: onProject, handle: (*Server).oneMember},
		"GET /projects/{id}/members/all/{user_id}": {who: onProject, handle: (*Server).oneMember},

		"GET /projects/{id}/repository/branches":             {who: onCode, handle: (*Server).listBranches},
		"POST /projects/{id}/repository/branches":            {who: onCode, level: Developer, handle: (*Server).createBranch},
		"GET /projects/{id}/repository/branches/{branch}":    {who: onCode, handle: (*Server).getBranch},
		"DELETE /projects/{id}/repository/branches/{branch}": {who: onCode, level: Developer, handle: (*Server).deleteBranch},
		"GET /projects/{id}/repository/tags":                 {who: onCode, handle: (*Server).listTags},
		"POST /projects/{id}/repository/tags":                {who: onCode, level: Developer, handle: (*Server).createTag},
		"GET /projects/{id}/repository/tags/{tag}":           {who: onCode, handle: (*Server).getTag},
		"GET /projects/{id}/repository/commits":              {who: onCode, handle: (*Server).listCommits},
		"POST /projects/{id}/repository/commits":             {who: onCode, level: Developer, handle: (*Server).createCommit},
		"GET /projects/{id}/repository/commits/{sha}":        {who: onCode, handle: (*Server).getCommit},
		"GET /projects/{id}/repository/commits/{sha}/refs":   {who: onCode, handle: (*Server).commitRefs},
		"GET /projects/{id}/repository/tree":                 {who: onCode, handle: (*Server).getTree},
		"GET /projects/{id}/repository/files/{path}":         {who: onCode, handle: (*Server).getFile, scopes: files},
		"GET /projects/{id}/repository/files/{path}/raw":     {who: onCode, handle: (*Server).getRawFile, scopes: files},

		"GET /hooks":              {who: asAdmin, handle: (*Server).listHooks},
		"POST /hooks":             {who: asAdmin, handle: (*Server).addHook},
		"GET /hooks/{hook_id}":    {who: asAdmin, handle: (*Server).getHook},
		"PUT /hooks/{hook_id}":    {who: asAdmin, handle: (*Server).editHook},
		"DELETE /hooks/{hook_id}": {who: asAdmin, handle: (*Server).deleteHook},
	}
	maps.Copy(all, hookRoutes("/projects/{id}/hooks", onProject, Maintainer))
	maps.Copy(all, hookRoutes("/groups/{id}/hooks", onGroup, Owner))
	return all
}

// hookRoutes are the same for projects and groups:
// https://docs.gitlab.com/api/project_webhooks/ and
// https://docs.gitlab.com/api/group_webhooks/
func hookRoutes(at string, who audience, level Level) map[string]route {
	as := func(handle func(*Server, *call) (answer, error)) route {
		return route{who: who, level: level, handle: handle}
	}
	return map[string]route{
		"GET " + at:                                          as((*Server).listHooks),
		"POST " + at:                                         as((*Server).addHook),
		"GET " + at + "/{hook_id}":                           as((*Server).getHook),
		"PUT " + at + "/{hook_id}":                           as((*Server).editHook),
		"DELETE " + at + "/{hook_id}":                        as((*Server).deleteHook),
		"POST " + at + "/{hook_id}/test/{trigger}":           as((*Server).testHook),
		"GET " + at + "/{hook_id}/events":                    as((*Server).hookEvents),
		"POST " + at + "/{hook_id}/events/{event_id}/resend": as((*Server).resend),
	}
}
