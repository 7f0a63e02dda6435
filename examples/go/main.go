// Signet from Go with plain grpc-go: create, initialize, execute, stream, wrong inputs, a deadline.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sort"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	signet "signet.example/qa/gen/signet/v1"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	address := os.Getenv("SIGNET_ADDRESS")
	if address == "" {
		address = "127.0.0.1:50050"
	}
	// Over a network: credentials.NewTLS(nil).
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+os.Getenv("SIGNET_KEY"))
	catalog := signet.NewProgramServiceClient(conn)
	runner := signet.NewRuntimeServiceClient(conn)

	program, err := catalog.CreateProgram(ctx, &signet.CreateProgramRequest{
		Name:          "go example",
		SignatureSpec: "question: str, context: list[str] -> answer: str, confidence: float",
	})
	if err != nil {
		return err
	}
	fmt.Println("created", program.Slug)

	program, err = runner.InitializeProgram(ctx, &signet.InitializeProgramRequest{Program: program.Slug})
	if err != nil {
		return err
	}
	fmt.Println("initialized", strings.TrimPrefix(program.Status.String(), "PROGRAM_STATUS_"))

	inputs := payload(map[string]any{
		"question": "Who wrote the first program?",
		"context":  []string{"Ada Lovelace wrote it."},
	})
	request := &signet.ExecuteProgramRequest{Program: program.Slug, Inputs: inputs}
	inTime, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	result, err := runner.ExecuteProgram(inTime, request)
	if err != nil {
		return err
	}
	var outputs struct {
		Answer     string
		Confidence float64
	}
	// The answer comes in the form that the inputs had: JSON text, in which every digit is kept.
	if err := json.Unmarshal(result.Outputs.GetJson(), &outputs); err != nil {
		return err
	}
	fmt.Printf("executed %s: %s\n", strings.TrimPrefix(result.Status.String(), "EXECUTION_STATUS_"), outputs.Answer)

	if err := stream(ctx, runner, &signet.StreamProgramRequest{Program: program.Slug, Inputs: inputs}); err != nil {
		return err
	}

	wrong := payload(map[string]any{"question": 7})
	_, err = runner.ExecuteProgram(ctx, &signet.ExecuteProgramRequest{Program: program.Slug, Inputs: wrong})
	explain("refused", err)

	soon, cancelSoon := context.WithTimeout(ctx, time.Millisecond)
	defer cancelSoon()
	_, err = runner.ExecuteProgram(soon, request)
	explain("late", err)
	return nil
}

func stream(ctx context.Context, runner signet.RuntimeServiceClient, request *signet.StreamProgramRequest) error {
	events, err := runner.StreamProgram(ctx, request)
	if err != nil {
		return err
	}
	last := ""
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		kind := ""
		switch event.Event.(type) {
		case *signet.ExecutionEvent_State:
			kind = "state"
		case *signet.ExecutionEvent_Step:
			kind = "step"
		case *signet.ExecutionEvent_Token:
			kind = "token"
		case *signet.ExecutionEvent_Result:
			kind = "result"
		}
		if kind != last {
			fmt.Println("streamed", kind)
		}
		last = kind
	}
}

func payload(value any) *signet.Payload {
	text, err := json.Marshal(value)
	if err != nil {
		log.Fatal(err)
	}
	return &signet.Payload{Kind: &signet.Payload_Json{Json: text}}
}

// explain shows the reason and the fields, which stand in the details of the status.
func explain(what string, err error) {
	said := status.Convert(err)
	if errors.Is(err, context.DeadlineExceeded) {
		said = status.FromContextError(err)
	}
	// What never reached the service has a code and no reason.
	reason, fields := strings.ToUpper(snake(said.Code().String())), []string{}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.Reason
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				fields = append(fields, violation.Field)
			}
		}
	}
	sort.Strings(fields)
	fmt.Println(what, reason)
	for _, field := range fields {
		fmt.Println("  " + field)
	}
}

// snake turns DeadlineExceeded into Deadline_Exceeded.
func snake(name string) string {
	var words strings.Builder
	for at, letter := range name {
		if at > 0 && letter >= 'A' && letter <= 'Z' {
			words.WriteByte('_')
		}
		words.WriteRune(letter)
	}
	return words.String()
}
