import { start } from './start.ts'

// `start` comes first and loads nothing of the other commands: a broker should serve within a blink.
if (process.argv[2] === 'start') process.exitCode = await start(process.argv.slice(3))
