package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// printing is an agent whose services print so many lines, then, where somebody follows, nothing for ever.
func printing(lines int, notices ...*landfallv1.LogNotice) (*agent, func() *landfallv1.TailLogsRequest) {
	var mu sync.Mutex
	var asked *landfallv1.TailLogsRequest
	tails := func(req *landfallv1.TailLogsRequest, stream grpc.ServerStreamingServer[landfallv1.TailLogsResponse]) error {
		mu.Lock()
		asked = req
		mu.Unlock()
		for _, n := range notices {
			if err := stream.Send(&landfallv1.TailLogsResponse{Stack: "core", Service: "silent", Notice: n}); err != nil {
				return err
			}
		}
		for n := range lines {
			err := stream.Send(&landfallv1.TailLogsResponse{
				Stack: "core", Service: "web", Container: "web", Number: 1, Text: fmt.Sprint("line ", n), LogTime: timestamppb.New(time.Unix(int64(n), 0)),
				Stream: landfallv1.OutputStream_OUTPUT_STREAM_STDOUT, Position: &landfallv1.LogPosition{ContainerId: "c", Skip: uint64(n + 1)},
			})
			if err != nil {
				return err
			}
		}
		if req.GetFollow() {
			<-stream.Context().Done()
		}
		return nil
	}
	return &agent{tails: tails}, func() *landfallv1.TailLogsRequest {
		mu.Lock()
		defer mu.Unlock()
		return asked
	}
}

func TestLogs(t *testing.T) {
	a, asked := printing(2, &landfallv1.LogNotice{Kind: landfallv1.LogNoticeKind_LOG_NOTICE_KIND_UNREADABLE, Message: `silent-1 logs with the driver "none", which cannot be read`})
	a.serve(t)
	o := landfall(t, "logs", "web", "core/*", "--tail", "7", "--since", "1d2h")
	o.expect(t, 0, `warning: silent: silent-1 logs with the driver "none", which cannot be read`)
	if o.out != "web-1 | line 0\nweb-1 | line 1\n" {
		t.Errorf("stdout: %q", o.out)
	}
	if req := asked(); req.GetTail() != 7 || req.GetFollow() || req.GetSince().AsDuration() != 26*time.Hour || strings.Join(req.GetServices(), " ") != "web core/*" {
		t.Errorf("request: %v", req)
	}
	o = landfall(t, "logs", "--tail", "all", "--format", "json")
	o.expect(t, 0)
	if got := decode(t, o.out); len(got) != 2 || got[1]["text"] != "line 1" || got[1]["service"] != "web" || got[1]["stream"] != "stdout" || got[1]["time"] != "1970-01-01T00:00:01Z" {
		t.Errorf("as objects: %s", o.out)
	}
	if req := asked(); req.GetTail() != math.MaxUint32 || req.GetSince() != nil {
		t.Errorf("request: %v", req)
	}
	landfall(t, "logs", "--tail", "0", "--no-prefix", "--timestamps").expect(t, 0)
	if req := asked(); !req.GetOnlyNew() {
		t.Errorf("request: %v", req)
	}
	for _, bad := range [][]string{{"--tail", "some"}, {"--tail", "-1"}, {"--since", "yesterday"}, {"--since", "0s"}, {"--format", "xml"}} {
		landfall(t, append([]string{"logs"}, bad...)...).expect(t, 2)
	}
	a.tails = func(*landfallv1.TailLogsRequest, grpc.ServerStreamingServer[landfallv1.TailLogsResponse]) error {
		return fault.New(fault.Invalid, "UNKNOWN_SERVICE", "there is no service %q", "wbe").WithHint("did you mean web?")
	}
	landfall(t, "logs", "wbe", "--follow").expect(t, 2, "did you mean web?")
}

// Whoever reads the lines may leave, while lines come and while none does; that is no error.
func TestLogsWhoseReaderLeaves(t *testing.T) {
	for name, lines := range map[string]int{"among many lines": 100_000, "when nothing comes": 1} {
		t.Run(name, func(t *testing.T) {
			a, _ := printing(lines)
			a.serve(t)
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			var errs strings.Builder
			done := make(chan int, 1)
			go func() {
				done <- Run([]string{"logs", "--follow"}, Streams{In: strings.NewReader(""), Out: write, Err: &errs})
			}()
			if _, err := io.ReadFull(read, make([]byte, len("web-1 | line 0\n"))); err != nil {
				t.Error(err)
			}
			_ = read.Close()
			select {
			case code := <-done:
				if code != 0 || errs.String() != "" {
					t.Errorf("exit code %d, stderr %q", code, errs.String())
				}
			case <-time.After(20 * time.Second):
				t.Error("it does not end")
			}
			_ = write.Close()
		})
	}
}

// Ctrl-C ends what follows, with the exit code of an interruption and without a word; also while nobody takes the lines.
func TestCtrlCEndsLogs(t *testing.T) {
	if os.Getenv("LANDFALL_TEST_LOGS") != "" {
		os.Exit(Run([]string{"logs", "--follow"}, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	for name, lines := range map[string]int{"stalled": 100_000, "idle": 1} {
		t.Run(name, func(t *testing.T) {
			a, _ := printing(lines)
			a.serve(t)
			cmd := exec.Command(os.Args[0], "-test.run=^TestCtrlCEndsLogs$")
			cmd.Env = append(os.Environ(), "LANDFALL_TEST_LOGS=1")
			var errs strings.Builder
			cmd.Stderr = &errs
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, len("web-1 | line 0\n"))); err != nil {
				t.Error(err)
			}
			time.Sleep(200 * time.Millisecond) // the pipe fills
			began := time.Now()
			_ = cmd.Process.Signal(os.Interrupt)
			timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
			state, err := cmd.Process.Wait()
			if err != nil || state.ExitCode() != 130 || errs.String() != "" {
				t.Errorf("after %s: %v, %v, stderr %q", time.Since(began), state, err, errs.String())
			}
			_ = out.Close()
		})
	}
}
