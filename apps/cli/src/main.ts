import { start } from './start.ts'

// `start` comes first and loads nothing of the other commands: a broker should serve within a blink.
if (process.argv[2] === 'start') {
  process.exitCode = await start(process.argv.slice(3))
} else {
  const [{ runCommandLine }, { processIo }] = await Promise.all([
    import('./command/command-line.ts'),
    import('./io/process-io.ts'),
  ])
  process.exitCode = await runCommandLine(process.argv.slice(2), processIo())
}
