import freemarker.template.Configuration;
import freemarker.template.TemplateExceptionHandler;
import java.io.File;
import java.io.FileWriter;
import java.io.Writer;
import java.util.Map;

/** Renders every NAME.ftl of a folder to NAME.out. */
class Render {
    public static void main(String[] args) throws Exception {
        File folder = new File(args[0]);
        Configuration freemarker = new Configuration(Configuration.VERSION_2_3_31);
        freemarker.setDirectoryForTemplateLoading(folder);
        freemarker.setLogTemplateExceptions(false);
        freemarker.setTemplateExceptionHandler(TemplateExceptionHandler.RETHROW_HANDLER);
        for (String name : folder.list()) {
            if (!name.endsWith(".ftl")) {
                continue;
            }
            try (Writer out = new FileWriter(new File(folder, name.replace(".ftl", ".out")))) {
                freemarker.getTemplate(name).process(Map.of(), out);
            }
        }
    }
}
