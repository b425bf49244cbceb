package gitlabtest

func (s *Server) checkShape(name string, c *call, seen *Request) {}
