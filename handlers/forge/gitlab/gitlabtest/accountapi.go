package gitlabtest

// getVersion: https://docs.gitlab.com/api/metadata/
func (s *Server) getVersion(c *call) (answer, error) {
	body := object{"version": s.opts.Version, "revision": "0a1b2c3d4e5"}
	if c.name == "GET /metadata" {
		body["enterprise"] = !s.opts.Free
		body["kas"] = object{"enabled": false, "externalUrl": nil, "version": nil}
	}
	return ok(body)
}

// getUser: https://docs.gitlab.com/api/users/#get-the-current-user
func (s *Server) getUser(c *call) (answer, error) { return ok(s.userJSON(c.user)) }
