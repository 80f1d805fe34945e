import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Answers requests, one JSON object a line, until the input ends. */
final class Lines {
    static final ObjectMapper JSON = new ObjectMapper();

    interface Handler {
        /** Puts the answer to {@code request} into {@code answer}. */
        void handle(JsonNode request, ObjectNode answer) throws Exception;
    }

    private Lines() {}

    static void serve(Handler handler) throws Exception {
        PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out),
                false, "UTF-8");
        System.setOut(System.err); // libraries may print; the answers have their stream to themselves
        BufferedReader in = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                handler.handle(JSON.readTree(line), answer);
            } catch (Exception | StackOverflowError | OutOfMemoryError error) {
                answer.removeAll();
                answer.put("error", error.getClass().getName());
                answer.put("message", String.valueOf(error.getMessage()));
            }
            out.write(JSON.writeValueAsBytes(answer));
            out.write('\n');
            out.flush();
        }
    }
}
