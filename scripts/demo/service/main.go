// Command service is the one program behind every service of the demo fleet.
//
// It promises to need nothing but itself: no shell, no C library, no configuration file, so
// that images are built FROM scratch in a second. Subcommands: serve (HTTP, or a line-based
// TCP answerer), health (the container's health check), once (a job that ends). Start reading
// at [run].
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// usageExit is the exit code for wrong arguments, as in the field's other tools.
const usageExit = 2

const usage = `usage: service serve [--name N] [--listen :8080] [--message FILE] [--upstream URL] [--tcp]
       service health URL        exit 0 when http://HOST/PATH answers 2xx, or tcp://HOST:PORT answers PING
       service once [--upstream URL]   wait until the upstream answers, then exit 0
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return usageExit
	}
	var o options
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	o.addFlags(flags)
	if err := flags.Parse(args[1:]); err != nil {
		return usageExit
	}
	o.builtFrom = getenv("GIT_SHA")
	logger := log.New(stdout, o.name+": ", 0)
	var err error
	switch {
	case args[0] == "serve" && o.tcp:
		err = serveTCP(ctx, o, logger)
	case args[0] == "serve":
		err = serveHTTP(ctx, o, logger)
	case args[0] == "health" && flags.NArg() == 1:
		err = check(ctx, flags.Arg(0))
	case args[0] == "once":
		err = once(ctx, o, logger)
	default:
		fmt.Fprint(stderr, usage)
		return usageExit
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// options are the flags of all subcommands with the commit the image was built from.
type options struct {
	name, listen, message, upstream string
	tcp                             bool
	builtFrom                       string
}

func (o *options) addFlags(f *flag.FlagSet) {
	f.StringVar(&o.name, "name", "service", "name in answers and logs")
	f.StringVar(&o.listen, "listen", ":8080", "address to listen on")
	f.StringVar(&o.message, "message", "", "file shown at /; its first line may ask for a fault, see state")
	f.StringVar(&o.upstream, "upstream", "", "URL that must answer for /ready, or before once ends")
	f.BoolVar(&o.tcp, "tcp", false, "answer PING lines over TCP instead of HTTP")
}

func serveHTTP(ctx context.Context, o options, logger *log.Logger) error {
	if state(o.message) == crash {
		return errors.New("crashing, as the message file asks")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(o), ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		stopped <- server.Shutdown(closing)
	}()
	logger.Printf("built from %q, listening on %s", o.builtFrom, listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// once retries until the upstream answers: a job that starts before what it needs.
func once(ctx context.Context, o options, logger *log.Logger) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for o.upstream != "" {
		err := check(ctx, o.upstream)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped while waiting: %w", err)
		case <-tick.C:
		}
	}
	logger.Print("work done")
	return nil
}

// check asks one URL once: http for a 2xx answer, tcp for a PONG.
func check(ctx context.Context, raw string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	target, err := url.Parse(raw)
	if err != nil {
		return err
	}
	if target.Scheme == "tcp" {
		return ping(ctx, target.Host)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, raw, nil) //nolint:gosec // whoever writes the health check chooses the address
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // see above
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // only its status is read
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", raw, response.Status)
	}
	return nil
}
