"""Known names of columns that are not features: numbers, times, names, ratings and labels of frames.

Names are compared without regard to capital letters, blanks and underscores: `frameTime` is `frame_time`.
"""

import re
from functools import lru_cache

_LABELS = """
emotion emotions emotion_id emotion_label emotion_name emotion_1_id emotion_2_id label labels label_id label_name class
class_id class_name class_label target ground_truth truth y_true annotation annotator category blend is_blend salience
intensity_level situation version
"""
_FOLDS = "partition subset set train_test is_train is_test fold_id cv_fold"
_INDEX = """
index idx level_0 row row_id row_index row_number id nr number counter frame frames frame_id frame_index frame_idx
frame_nr frame_no frame_num frame_number frame_count n_frames num_frames image_id image_index window window_id chunk
chunk_id
"""
_TIMES = """
time times time_s time_sec time_ms timestamp timestamps timestamp_s timestamp_ms frame_time frame_time_ms
frame_time_in_ms approx_time seconds milliseconds sec msec pts start end start_time end_time time_start time_end start_s
end_s start_ms end_ms start_frame end_frame begin begin_time stop onset offset fps frame_rate duration duration_s
duration_ms length clip_length
"""
_ACTORS = """
subject subject_id subject_name speaker speaker_id speaker_name actor actor_id actor_name person person_id participant
participant_id user user_id performer performer_id identity identity_id
"""
_FACES = "face_id track_id"
_PEOPLE = "gender sex age"
_CLIPS = """
file files file_name file_path path clip clip_id clip_name video video_name video_file video_path audio audio_file
audio_path wav wav_file name input image image_path image_name segment segment_id segment_name seg_id utterance
utterance_id utt_id recording recording_id session session_id sample sample_id trial trial_id
"""
_RATINGS = "confidence face_score face_confidence detection_score detection_confidence"
_DETECTED = "success detected face_detected is_detected valid is_valid face_valid tracking_success"


@lru_cache(100_000)
def normalize_name(name: str) -> str:
    """What a column's name is compared by; "" of the header of a pandas index (`` or `Unnamed: 0`).

    >>> normalize_name("Frame Time"), normalize_name("Unnamed: 0")
    ('frametime', '')
    """
    key = re.sub(r"[\W_]+", "", name.casefold())
    return "" if re.fullmatch(r"unnamed\d+(level\d+)?", key) else key


def _normalized(*texts: str) -> frozenset[str]:
    return frozenset(normalize_name(name) for text in texts for name in text.split())


_ACTOR_NAMES = _normalized(_ACTORS)
_DETECTIONS = _normalized(_DETECTED)
_FACE_NAMES = _normalized(_FACES)
_NO_CHANNELS = _normalized(_LABELS, _FOLDS, _INDEX, _TIMES, _ACTORS, _FACES, _PEOPLE, _CLIPS, _RATINGS, _DETECTED) | {
    ""
}


def is_no_channel(name: str) -> bool:
    """Whether a column's name is known as a frame's number, time, name, rating or label, and so no feature.

    Examples:
        >>> is_no_channel("frame"), is_no_channel("AU12")
        (True, False)
    """
    return normalize_name(name) in _NO_CHANNELS


def is_detection(name: str) -> bool:
    """Whether a column's name marks a detection flag, where 0 means that nothing was found in the frame.

    Examples:
        >>> is_detection("success")
        True
    """
    return normalize_name(name) in _DETECTIONS


def is_face(name: str) -> bool:
    """Whether a column's name marks the number of a face in a recording.

    Examples:
        >>> is_face("face_id")
        True
    """
    return normalize_name(name) in _FACE_NAMES


def may_name_actor(name: str) -> bool:
    """Whether a column's name suggests that it names the actor.

    Examples:
        >>> may_name_actor("speaker"), may_name_actor("AU12")
        (True, False)
    """
    return normalize_name(name) in _ACTOR_NAMES
