import { start } from './start.ts'

// `start` comes first and loads nothing of the other commands: a broker should serve within a blink.
const [word, ...rest] = process.argv.slice(2)
if (word === 'start') {
  process.exitCode = await start(rest)
} else if (word === 'help' && rest[0] === 'start') {
  process.exitCode = await start(['--help'])
} else {
  const [{ runCommandLine }, { processIo }] = await Promise.all([
    import('./command/command-line.ts'),
    import('./io/process-io.ts'),
  ])
  process.exitCode = await runCommandLine(process.argv.slice(2), processIo())
}
