package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/moby/buildkit/session/sshforward"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/registry-build/registry-build/builder"
)

// agents are the SSH agents of one solve: each holds one key, in memory, signs
// with it and never tells it. (BuildKit's own provider reads keys from files.)
type agents struct {
	keys map[string]agent.ExtendedAgent // by id
}

// newAgents takes private keys in PEM, without a passphrase.
func newAgents(keys map[string][]byte) (*agents, error) {
	a := &agents{keys: map[string]agent.ExtendedAgent{}}
	for id, pem := range keys {
		key, err := ssh.ParseRawPrivateKey(pem)
		if err != nil {
			return nil, badKey(id, err)
		}
		ring, ok := agent.NewKeyring().(agent.ExtendedAgent)
		if !ok {
			return nil, errors.New("ssh agent: the keyring cannot be extended")
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: key, Comment: id}); err != nil {
			return nil, badKey(id, err)
		}
		a.keys[agentID(id)] = signOnly{ring}
	}
	return a, nil
}

func badKey(id string, err error) error {
	why := "it is no private key that OpenSSH reads"
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		why = "it has a passphrase; set one without"
	}
	// The parser's own error may quote the key: it does not go further.
	return &builder.Failure{Stage: builder.StageConfig,
		Message: fmt.Sprintf("the key of ssh %q cannot be used: %s", id, why)}
}

func (a *agents) Register(server *grpc.Server) { sshforward.RegisterSSHServer(server, a) }

// CheckAgent tells the daemon whether there is an agent of that id; a mount
// that does not require one goes without.
func (a *agents) CheckAgent(_ context.Context, r *sshforward.CheckAgentRequest) (*sshforward.CheckAgentResponse, error) {
	if _, err := a.find(r.ID); err != nil {
		return nil, err
	}
	return &sshforward.CheckAgentResponse{}, nil
}

// ForwardAgent serves one connection of a step to its agent.
func (a *agents) ForwardAgent(stream sshforward.SSH_ForwardAgentServer) error {
	id := ""
	if values := metadata.ValueFromIncomingContext(stream.Context(), sshforward.KeySSHID); len(values) > 0 {
		id = values[0]
	}
	held, err := a.find(id)
	if err != nil {
		return err
	}
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer ours.Close()
		// Its error is how the step left.
		_ = agent.ServeAgent(held, ours)
	}()
	err = sshforward.Copy(stream.Context(), theirs, stream, nil)
	theirs.Close()
	<-served
	return err
}

func (a *agents) find(id string) (agent.Agent, error) {
	held, ok := a.keys[agentID(id)]
	if !ok {
		return nil, status.Errorf(codes.NotFound, noAgent, agentID(id))
	}
	return held, nil
}

// noAgent is what a daemon says by itself where a session has no agent at all.
const noAgent = "no SSH key %q forwarded from the client"

// signOnly leaves listing and signing: one step must not change or lock what
// the next one finds.
type signOnly struct{ agent.ExtendedAgent }

var errSignOnly = errors.New("this agent lists its key and signs, and does nothing else")

func (signOnly) Add(agent.AddedKey) error                 { return errSignOnly }
func (signOnly) Remove(ssh.PublicKey) error               { return errSignOnly }
func (signOnly) RemoveAll() error                         { return errSignOnly }
func (signOnly) Lock([]byte) error                        { return errSignOnly }
func (signOnly) Unlock([]byte) error                      { return errSignOnly }
func (signOnly) Extension(string, []byte) ([]byte, error) { return nil, agent.ErrExtensionUnsupported }
