package buildkit

import (
	"slices"

	"github.com/moby/buildkit/session/sshforward"
	"github.com/moby/buildkit/solver/pb"
)

// mountsOf lists the ids of the secrets and the agents that the operations ask
// the session for, in order, once each. They are BuildKit's own translation of
// `RUN --mount`, so default ids, variables and here-documents are as in a
// build. ADD of a git repository asks for an agent or a token, too.
func mountsOf(ops []operation) (secrets, agents []string) {
	add := func(list *[]string, id string) {
		if !slices.Contains(*list, id) {
			*list = append(*list, id)
		}
	}
	for _, op := range ops {
		if exec := op.GetExec(); exec != nil {
			for _, e := range exec.Secretenv {
				add(&secrets, e.ID)
			}
			for _, m := range exec.Mounts {
				switch m.MountType {
				case pb.MountType_SECRET:
					add(&secrets, m.GetSecretOpt().GetID())
				case pb.MountType_SSH:
					add(&agents, agentID(m.GetSSHOpt().GetID()))
				}
			}
		}
		if s := op.GetSource(); s != nil {
			for _, attr := range []string{pb.AttrAuthTokenSecret, pb.AttrAuthHeaderSecret} {
				if id := s.Attrs[attr]; id != "" {
					add(&secrets, id)
				}
			}
			if id, ok := s.Attrs[pb.AttrMountSSHSock]; ok {
				add(&agents, agentID(id))
			}
		}
	}
	return secrets, agents
}

// agentID is the name of the agent that a mount without one asks for.
func agentID(id string) string {
	if id == "" {
		return sshforward.DefaultID
	}
	return id
}
