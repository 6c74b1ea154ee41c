import com.alibaba.fastjson2.JSONFactory;
import com.alibaba.fastjson2.writer.FieldWriter;
import com.alibaba.fastjson2.writer.ObjectWriter;
import java.io.File;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.List;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.annotation.CFNotNull;
import org.apache.rocketmq.remoting.protocol.LanguageCode;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;

/**
 * Prints what the stock jars declare, one sorted line each: codes, protocol versions, the fields of
 * every command header, the members of every JSON body and the constants of enums. Run with the
 * jars on the class path and their directory as the only argument. The test
 * compat-tests/tests/tables.rs compares the lines with our tables.
 */
public class Reflect {
    /** Packages whose classes are bodies even where they do not say so. */
    private static final String BODIES =
        "org\\.apache\\.rocketmq\\.(remoting\\.protocol\\.(body|route|heartbeat|subscription|admin)"
            + "|common\\.(lite|message\\.MessageQueue.*|entity\\.ClientGroup|TopicConfig)).*"
            + "|.*\\.(EpochEntry|DataVersion|TopicConfigAndQueueMapping|LogicQueueMappingItem"
            + "|CheckRocksdbCqWriteResult|TimerMetrics\\$Metric)";

    /** Times of this run, which stand for "now". */
    private static final String NOW = "1[0-9]{12}";

    private static final TreeSet<String> LINES = new TreeSet<>();

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err);
        codes(RequestCode.class);
        codes(ResponseCode.class);
        for (LanguageCode language : LanguageCode.values()) {
            LINES.add("code LanguageCode " + language + " " + language.getCode());
        }
        for (MQVersion.Version version : MQVersion.Version.values()) {
            LINES.add("version " + version + " " + version.ordinal());
        }
        LINES.add("current " + MQVersion.CURRENT_VERSION);
        for (String name : classes(new File(args[0]))) {
            type(name);
        }
        LINES.forEach(out::println);
    }

    /** Every constant of a class of codes, inherited ones included. */
    private static void codes(Class<?> codes) throws Exception {
        for (Field field : codes.getFields()) {
            LINES.add("code " + codes.getSimpleName() + " " + field.getName() + " " + field.get(null));
        }
    }

    /** The names of all classes in the RocketMQ jars of a directory. */
    private static List<String> classes(File directory) throws Exception {
        List<String> names = new ArrayList<>();
        for (File file : directory.listFiles((at, name) -> name.matches("rocketmq-.*-5.*\\.jar"))) {
            try (JarFile jar = new JarFile(file)) {
                for (Enumeration<JarEntry> all = jar.entries(); all.hasMoreElements();) {
                    String entry = all.nextElement().getName();
                    if (entry.startsWith("org/apache/rocketmq/") && entry.endsWith(".class")) {
                        names.add(entry.substring(0, entry.length() - 6).replace('/', '.'));
                    }
                }
            }
        }
        return names;
    }

    private static void type(String name) throws Exception {
        Class<?> type;
        try {
            type = Class.forName(name, false, Reflect.class.getClassLoader());
        } catch (NoClassDefFoundError missing) {
            return; // It needs a library that its jar leaves to the user, so no message is it.
        }
        if (type.isInterface() || type.isAnonymousClass()) {
            return;
        }
        if (CommandCustomHeader.class.isAssignableFrom(type)) {
            header(type);
        } else if (type.isEnum()) {
            constants(type);
        } else if (RemotingSerializable.class.isAssignableFrom(type) || name.matches(BODIES)) {
            body(type);
        }
    }

    /** One line for the class and one for each field, its own and the inherited ones. */
    private static void header(Class<?> type) throws Exception {
        String name = type.getSimpleName();
        LINES.add("header " + name);
        Object fresh = Modifier.isAbstract(type.getModifiers())
            ? null : type.getDeclaredConstructor().newInstance();
        for (Class<?> at = type; at != Object.class; at = at.getSuperclass()) {
            for (Field field : at.getDeclaredFields()) {
                if (Modifier.isStatic(field.getModifiers())) {
                    continue;
                }
                field.setAccessible(true);
                String initial = fresh == null ? "null" : String.valueOf(field.get(fresh));
                boolean isRequired = field.isAnnotationPresent(CFNotNull.class);
                LINES.add("field " + name + " " + field.getName() + " " + field.getType().getSimpleName()
                    + (isRequired ? " required " : " optional ") + at.getSimpleName()
                    + " " + initial.replaceAll("^" + NOW + "$", "now"));
            }
        }
    }

    private static void constants(Class<?> type) {
        StringBuilder line = new StringBuilder("enum " + type.getSimpleName());
        for (Object constant : type.getEnumConstants()) {
            line.append(' ').append(((Enum<?>) constant).name());
        }
        LINES.add(line.toString());
    }

    /** The members that the JSON library writes, and the text of a fresh object if there is one. */
    private static void body(Class<?> type) throws Exception {
        StringBuilder line = new StringBuilder("body " + type.getSimpleName());
        ObjectWriter<?> writer = JSONFactory.getDefaultObjectWriterProvider().getObjectWriter(type);
        for (FieldWriter<?> member : writer.getFieldWriters()) {
            line.append(' ').append(member.fieldName);
        }
        LINES.add(line.toString());
        Object fresh;
        try {
            fresh = type.getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException none) {
            return; // Nothing is missing from such an object, so there is nothing to compare.
        }
        String json = new String(RemotingSerializable.encode(fresh), StandardCharsets.UTF_8);
        LINES.add("fresh " + type.getSimpleName() + " " + json.replaceAll(NOW, "0"));
    }
}
