# Headless decoding and training. The same image serves CPUs and, with the NVIDIA container toolkit, CUDA:
#   docker build -t necomimi .
#   docker run --rm --network host -v "$PWD:/data" necomimi decode decoder --log decisions.jsonl
#   docker run --rm --gpus all -v "$PWD:/data" necomimi train encoder epochs decoder --gallery gallery
# LSL finds streams by multicast: --network host is needed to see an amplifier's, and works on Linux only.
# Who runs it has the number 1000; where /data is another's, add --user "$(id -u):$(id -g)" -e HOME=/tmp.
# The torch of the package index is built for CUDA 13.0 and wants an NVIDIA driver 580 or newer. Others, much smaller
# without CUDA: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu (or cu126, cu128).
# There is no HEALTHCHECK: a container is one command that ends, and its exit status says how.
FROM python:3.12-slim-bookworm

# What Qt and OpenGL want even without a screen, for `necomimi view --screenshot`. Their versions are those of bookworm.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libegl1 libgl1 libfontconfig1 libglib2.0-0 libxkbcommon0 libdbus-1-3 fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 necomimi

WORKDIR /opt/necomimi
COPY pyproject.toml constraints.txt MANIFEST.in README.md LICENSE ./
COPY necomimi necomimi
COPY offline offline
COPY realtime realtime
COPY replay replay
COPY gui gui
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt \
    ".[demo,clip,diffusion,hub]"

USER 1000
ENV QT_QPA_PLATFORM=offscreen NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /data
ENTRYPOINT ["necomimi"]
CMD ["--help"]
