import com.google.protobuf.Any;
import com.google.protobuf.ListValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import signet.v1.Common.Payload;
import signet.v1.ExecutionOuterClass.ExecutionEvent;
import signet.v1.ExecutionOuterClass.ExecutionResult;
import signet.v1.ProgramOuterClass.Program;
import signet.v1.ProgramServiceGrpc;
import signet.v1.ProgramServiceOuterClass.CreateProgramRequest;
import signet.v1.RuntimeServiceGrpc;
import signet.v1.RuntimeServiceOuterClass.ExecuteProgramRequest;
import signet.v1.RuntimeServiceOuterClass.InitializeProgramRequest;
import signet.v1.RuntimeServiceOuterClass.StreamProgramRequest;

/** Signet from Java with plain grpc-java: create, initialize, execute, stream, wrong inputs, a deadline. */
public final class QaExample {
  public static void main(String[] arguments) throws Exception {
    String address = System.getenv().getOrDefault("SIGNET_ADDRESS", "127.0.0.1:50050");
    // Over a network: without usePlaintext().
    ManagedChannel channel = ManagedChannelBuilder.forTarget(address).usePlaintext().build();
    try {
      run(channel);
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  private static void run(ManagedChannel channel) throws Exception {
    Metadata headers = new Metadata();
    headers.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + System.getenv("SIGNET_KEY"));
    var withKey = MetadataUtils.newAttachHeadersInterceptor(headers);
    var catalog = ProgramServiceGrpc.newBlockingStub(channel).withInterceptors(withKey);
    var runner = RuntimeServiceGrpc.newBlockingStub(channel).withInterceptors(withKey);

    Program program =
        catalog.createProgram(
            CreateProgramRequest.newBuilder()
                .setName("java example")
                .setSignatureSpec("question: str, context: list[str] -> answer: str, confidence: float")
                .build());
    System.out.println("created " + program.getSlug());

    program = runner.initializeProgram(InitializeProgramRequest.newBuilder().setProgram(program.getSlug()).build());
    System.out.println("initialized " + program.getStatus().name().replace("PROGRAM_STATUS_", ""));

    Payload inputs =
        payload(
            Struct.newBuilder()
                .putFields("question", text("Who wrote the first program?"))
                .putFields("context", list(text("Ada Lovelace wrote it.")))
                .build());
    ExecuteProgramRequest request =
        ExecuteProgramRequest.newBuilder().setProgram(program.getSlug()).setInputs(inputs).build();
    ExecutionResult result = runner.withDeadlineAfter(60, TimeUnit.SECONDS).executeProgram(request);
    // The answer comes in the form that the inputs had: a Struct. Use Payload.json where integers may exceed 2^53.
    String answer = result.getOutputs().getStruct().getFieldsOrThrow("answer").getStringValue();
    System.out.println("executed " + result.getStatus().name().replace("EXECUTION_STATUS_", "") + ": " + answer);

    String last = "";
    Iterator<ExecutionEvent> events =
        runner.streamProgram(
            StreamProgramRequest.newBuilder().setProgram(program.getSlug()).setInputs(inputs).build());
    while (events.hasNext()) {
      String kind = events.next().getEventCase().name().toLowerCase();
      if (!kind.equals(last)) {
        System.out.println("streamed " + kind);
      }
      last = kind;
    }

    try {
      Struct wrong =
          Struct.newBuilder().putFields("question", Value.newBuilder().setNumberValue(7).build()).build();
      runner.executeProgram(request.toBuilder().setInputs(payload(wrong)).build());
    } catch (StatusRuntimeException error) {
      explain("refused", error);
    }
    try {
      runner.withDeadlineAfter(1, TimeUnit.MILLISECONDS).executeProgram(request);
    } catch (StatusRuntimeException error) {
      explain("late", error);
    }
  }

  /** Shows the reason and the fields, which stand in the details of the status. */
  private static void explain(String what, StatusRuntimeException error) throws Exception {
    // What never reached the service has a code and no reason.
    String reason = error.getStatus().getCode().name();
    List<String> fields = new ArrayList<>();
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    for (Any detail : status == null ? List.<Any>of() : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        reason = detail.unpack(ErrorInfo.class).getReason();
      } else if (detail.is(BadRequest.class)) {
        detail.unpack(BadRequest.class).getFieldViolationsList().forEach(one -> fields.add(one.getField()));
      }
    }
    Collections.sort(fields);
    System.out.println(what + " " + reason);
    fields.forEach(field -> System.out.println("  " + field));
  }

  private static Payload payload(Struct value) {
    return Payload.newBuilder().setStruct(value).build();
  }

  private static Value text(String value) {
    return Value.newBuilder().setStringValue(value).build();
  }

  private static Value list(Value item) {
    return Value.newBuilder().setListValue(ListValue.newBuilder().addValues(item)).build();
  }
}
