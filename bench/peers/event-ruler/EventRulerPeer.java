import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedWriter;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import software.amazon.event.ruler.Machine;

/**
 * AWS event-ruler matches events against patterns. RULES EVENTS MATCHES SECONDS are the arguments,
 * see tools/bench-peers-match.
 */
final class EventRulerPeer {
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    private static final double SLICE_SECONDS = 0.05;

    private final Machine machine = new Machine();
    private final List<String> ids = new ArrayList<>();
    private final List<byte[]> documents = new ArrayList<>();
    private final double seconds;

    private EventRulerPeer(double seconds) {
        this.seconds = seconds;
    }

    private interface Line {
        void take(String name, String rest) throws IOException;
    }

    /** Lines are a name, a tab, and the rest. */
    private static void each(String path, Line line) throws IOException {
        for (String text : Files.readAllLines(Path.of(path))) {
            int tab = text.indexOf('\t');
            line.take(text.substring(0, tab), text.substring(tab + 1));
        }
    }

    /**
     * The processor's time that the thread has used: the elapsed time of a machine that does nothing
     * else, less the collector of garbage, which is another thread.
     */
    private static long processor() {
        return THREADS.getCurrentThreadCpuTime();
    }

    private static double since(long start) {
        return (processor() - start) / 1e9;
    }

    private List<String> match(int event) throws Exception {
        return machine.rulesForJSONEvent(new String(documents.get(event), UTF_8));
    }

    /** Lets the compiler see what is to be fast. */
    private void warmUp() throws Exception {
        long start = processor();
        for (int event = 0; since(start) < seconds; event++) {
            match(event % documents.size());
        }
    }

    /** Writes down what matches, event by event until the time is up; returns how many it saw. */
    private int list(String path) throws Exception {
        int seen = 0;
        try (BufferedWriter out = Files.newBufferedWriter(Path.of(path))) {
            long start = processor();
            while (seen < documents.size() && (seen == 0 || since(start) < seconds)) {
                for (String rule : match(seen)) {
                    out.write(ids.get(seen) + "\t" + rule + "\n");
                }
                seen++;
            }
        }
        return seen;
    }

    /** The most events a second of the slices that the time is cut into. */
    private double measure(int events) throws Exception {
        double best = 0;
        int next = 0;
        long begin = processor();
        while (next == 0 || since(begin) < seconds) {
            int first = next;
            long start = processor();
            while (next == first || since(start) < SLICE_SECONDS) {
                match(next++ % events);
            }
            best = Math.max(best, (next - first) / since(start));
        }
        return best;
    }

    public static void main(String[] arguments) throws Exception {
        EventRulerPeer peer = new EventRulerPeer(Double.parseDouble(arguments[3]));
        long start = processor();
        each(arguments[0], peer.machine::addRule);
        double load = since(start);
        each(arguments[1], (id, document) -> {
            peer.ids.add(id);
            peer.documents.add(document.getBytes(UTF_8));
        });
        peer.warmUp();
        int seen = peer.list(arguments[2]);
        System.out.printf(Locale.ROOT, "{\"events\":%d,\"events_per_s\":%.1f,\"load_s\":%.3f}%n",
            seen, peer.measure(seen), load);
    }
}
