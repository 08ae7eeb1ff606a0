// Preloaded by the benchmark: tells the peak resident size of the process when it ends.
process.on('exit', () => process.stdout.write(`\npeak-memory-kb ${process.resourceUsage().maxRSS}\n`));
