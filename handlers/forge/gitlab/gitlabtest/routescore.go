package gitlabtest

// routesCore are the operations of accounts, projects, repositories and
// webhooks.
func routesCore() map[string]route {
	return map[string]route{
		"GET /version":  {who: asUser, handle: (*Server).getVersion, scopes: []string{"read_user"}},
		"GET /metadata": {who: asUser, handle: (*Server).getVersion, scopes: []string{"read_user"}},
		"GET /user":     {who: asUser, handle: (*Server).getUser, scopes: []string{"read_user"}},
	}
}
