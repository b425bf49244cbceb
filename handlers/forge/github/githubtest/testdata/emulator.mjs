// Starts the emulator with the seed of the first argument, prints its address
// and the app's key as a line of JSON, and ends with its standard input.
import { createEmulator } from "emulate";

const { seed } = JSON.parse(process.argv[2]);
const emulator = await createEmulator({ service: "github", port: 0, seed });
console.log(JSON.stringify({ url: emulator.url, key: emulator.generatedSecrets[0]?.value }));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
