/**
 * Stands for a node in tests of the supervisor: `fake-node.ts BEHAVIOUR`. `serve` is ready at once and ends at SIGTERM; `stubborn` does not end
 * at SIGTERM; `broken` ends with 2 before it is ready.
 */
const [behaviour] = process.argv.slice(2)

if (behaviour === 'broken') {
  process.stderr.write('no such setting\n')
  process.exitCode = 2
} else {
  process.on('SIGTERM', () => {
    process.stderr.write('asked to stop\n')
    if (behaviour === 'serve') process.exit(0)
  })
  process.once('disconnect', () => process.exit(0))
  process.stdout.write(`ready 127.0.0.1:1 node 1 pid ${process.pid} in 1 ms\n`)
  process.stdout.write('more\n')
}
