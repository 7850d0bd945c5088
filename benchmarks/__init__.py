"""Side-by-side measurements. Each module prints one table: `./run bench` or `./run bench NAME`."""
